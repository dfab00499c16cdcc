import { Skeleton } from "@mantine/core";
import { Link, useParams } from "react-router";
import { useGuardians, useService } from "../api/queries";
import type { GraphEdge, ServiceDetail } from "../api/types";
import { percent, perSecond } from "../format/number";
import { parseTime, seconds } from "../format/time";
import { Chart } from "../parts/Chart";
import { EventLine } from "../parts/EventLine";
import { notable, onCharts } from "../parts/kinds";
import { Answer, Empty, Page, Section } from "../parts/Page";
import { RangePicker } from "../parts/RangePicker";
import { useParam, useRange } from "../parts/range";
import { Operation, ServiceLink } from "../parts/service";
import { Badge } from "../status/Badge";
import { healthLook } from "../status/status";
import { VerdictLine } from "./now";

export default function ServicePage() {
  const name = useParams().name ?? "";
  const [environment] = useParam("environment");
  const r = useRange();
  const q = useService(name, environment || undefined, r.range);
  const s = q.data;
  return (
    <Page
      title={name}
      lead={s ? <><Badge look={healthLook(s.health)} size="sm" /> {perSecond(s.requestsPerSecond)} · {percent(s.errorRatio)} errors · p95 {seconds(s.p95)}{environment && ` · ${environment}`}</> : <>&nbsp;</>}
      aside={<RangePicker r={r} />}
    >
      <Answer q={q} skeleton={<div className="charts">{[0, 1, 2].map((i) => <Skeleton key={i} height={184} radius="md" />)}</div>}>
        {(s) => (
          <>
            <Charts s={s} zoom={r.setFixed} />
            <div className="columns">
              <div>
                <Operations s={s} />
                <Versions s={s} />
                <Section title="Changes" aside={<Link to={`/changes?service=${encodeURIComponent(name)}`}>All</Link>}>
                  {s.changes?.some(notable) ? (
                    <ul className="list">{s.changes.filter(notable).slice(0, 10).map((e) => <EventLine key={e.id} e={e} />)}</ul>
                  ) : (
                    <Empty title="No change in this time" command={`tidegate event send --type deployment.finished --title "${name} 2.1" --service ${name}`} />
                  )}
                </Section>
              </div>
              <div>
                <Section title="Verdicts">
                  {s.validations?.length ? <ul className="list">{s.validations.slice(0, 6).map((v) => <VerdictLine key={v.id} v={v} />)}</ul> : <p className="dim">No guardian validated this service in this time.</p>}
                </Section>
                <Section title="Dependencies">
                  <div className="neighbours">
                    <Neighbours title="Called by" end="client" list={s.upstream ?? []} />
                    <Neighbours title="Calls" end="server" list={s.downstream ?? []} />
                  </div>
                </Section>
              </div>
            </div>
          </>
        )}
      </Answer>
    </Page>
  );
}

/** RED charts, with the limits of the guardians that watch this service. */
function Charts({ s, zoom }: { s: ServiceDetail; zoom: (a: number, b: number) => void }) {
  const guardians = useGuardians().data?.guardians ?? [];
  const series = s.series;
  if (!series?.t?.length) return <Empty title="No requests in this time" />;
  const objectives = guardians
    .filter((g) => g.guardian.target.service === s.service && (!g.guardian.target.environment || !s.environment || g.guardian.target.environment === s.environment))
    .flatMap((g) => g.guardian.objectives ?? []);
  const limits = (kind: "latency" | "errorRate" | "throughput") =>
    objectives.filter((o) => o.indicator?.[kind] && !o.indicator[kind]?.operation).flatMap((o) => (o.threshold?.fail ? [o.threshold.fail.value] : []));
  const windows = (s.validations ?? []).slice(0, 6).map((v) => ({ from: parseTime(v.window.from) / 1000, to: parseTime(v.window.to) / 1000 }));
  const common = { t: series.t, changes: (s.changes ?? []).filter(onCharts), windows, sync: `service-${s.service}`, onZoom: zoom };
  return (
    <div className="charts">
      <Chart {...common} title="Requests" lines={[{ label: "requests", values: series.rate ?? [] }]} format={perSecond} limits={limits("throughput")} />
      <Chart {...common} title="Errors" lines={[{ label: "errors", values: series.errors ?? [], tone: "fail" }]} format={percent} atLeast={0.02} limits={limits("errorRate")} />
      <Chart {...common} title="Duration p95" lines={[{ label: "p95", values: series.p95 ?? [] }]} format={seconds} limits={limits("latency")} />
    </div>
  );
}

function Operations({ s }: { s: ServiceDetail }) {
  return (
    <Section title="Operations">
      {s.operations?.length ? (
        <div className="table-scroll">
          <table className="table">
            <thead><tr><th>Operation</th><th className="r">Requests</th><th className="r">Errors</th><th className="r wide">p50</th><th className="r">p95</th></tr></thead>
            <tbody>
              {s.operations.map((o) => (
                <tr key={o.operation + o.kind}>
                  <td><Link className="quiet mono" to={`/traces?service=${encodeURIComponent(s.service)}&operation=${encodeURIComponent(o.operation)}`}><Operation name={o.operation} /></Link> <span className="dim">{o.kind.replace(/^SPAN_KIND_/, "").toLowerCase()}</span></td>
                  <td className="r">{perSecond(o.requestsPerSecond)}</td>
                  <td className="r">{percent(o.errorRatio)}</td>
                  <td className="r wide">{seconds(o.p50)}</td>
                  <td className="r">{seconds(o.p95)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : <p className="dim">No operations in this time.</p>}
    </Section>
  );
}

function Versions({ s }: { s: ServiceDetail }) {
  if (!s.versionsDetail?.length) return null;
  return (
    <Section title="Versions">
      <div className="table-scroll">
        <table className="table">
          <thead><tr><th>Version</th><th className="r">Requests</th><th className="r">Errors</th><th className="r">p95</th></tr></thead>
          <tbody>
            {s.versionsDetail.map((v) => (
              <tr key={v.version}><td className="mono">{v.version || "–"}</td><td className="r">{perSecond(v.requestsPerSecond)}</td><td className="r">{percent(v.errorRatio)}</td><td className="r">{seconds(v.p95)}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}

function Neighbours({ title, end, list }: { title: string; end: "client" | "server"; list: GraphEdge[] }) {
  return (
    <div>
      <h3>{title}</h3>
      {list.length ? (
        <ul className="list">
          {list.map((n) => <li key={n[end]} className="neighbour"><ServiceLink of={{ service: n[end] }} plain /><span className="dim">{perSecond(n.requestsPerSecond)} · {percent(n.errorRatio)} errors</span></li>)}
        </ul>
      ) : <p className="dim">nobody</p>}
    </div>
  );
}
