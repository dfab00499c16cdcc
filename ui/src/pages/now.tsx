import { Link } from "react-router";
import { useEvents, useLoadRuns, useProblems, useReleases, useRolloutRuns, useServices, useStatus, useValidations, useWorkflowRuns } from "../api/queries";
import type { Ingest as Ingested, Problem, ServiceItem, Validation } from "../api/types";
import { count, percent, perSecond } from "../format/number";
import { seconds } from "../format/time";
import { EventLine } from "../parts/EventLine";
import { notable } from "../parts/kinds";
import { Answer, Empty, Page, Rows, Section } from "../parts/Page";
import { ServiceLink } from "../parts/service";
import { Sparkline } from "../parts/Sparkline";
import { Ago } from "../parts/time";
import { open, problemLook } from "../problem/look";
import { ProblemLine } from "../problem/ProblemLine";
import { underWay } from "../pipeline/look";
import { ReleaseLine } from "../pipeline/ReleaseLine";
import { RunLine } from "../rollout/RunLine";
import { Badge } from "../status/Badge";
import { healthLook, stateLook, statusLook } from "../status/status";

/** What is going on, and whether anybody has to do something. */
export function NowPage() {
  const services = useServices();
  const validations = useValidations(12);
  const problems = useProblems({ state: "open", limit: 20 });
  return (
    <Page title="Now" lead={<Ingest />}>
      <Summary problems={open(problems.data?.problems ?? [])} services={services.data?.services ?? undefined} validations={validations.data?.validations ?? undefined} known={services.data !== undefined} />
      <div className="columns">
        <div>
          <Section title="Services" aside={<Link to="/services">All</Link>}>
            <Answer q={services} skeleton={<Rows n={8} height={38} />}>
              {({ services }) =>
                services?.length ? (
                  <ServiceTable services={worstFirst(services).slice(0, 12)} />
                ) : (
                  <Empty title="No service has sent anything yet" command="OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 OTEL_SERVICE_NAME=my-service ./my-service">
                    Point any OpenTelemetry SDK or Collector here, or see a whole shop with <code>make demo</code>.
                  </Empty>
                )
              }
            </Answer>
          </Section>
          <Section title="Latest verdicts" aside={<Link to="/guardians">Guardians</Link>}>
            <Answer q={validations} skeleton={<Rows n={5} height={52} />}>
              {({ validations }) =>
                validations?.length ? (
                  <ul className="list">
                    {validations.slice(0, 8).map((v) => (
                      <VerdictLine key={v.id} v={v} />
                    ))}
                  </ul>
                ) : (
                  <Empty title="Nothing was validated yet" command="tidegate validate checkout --last 1m" />
                )
              }
            </Answer>
          </Section>
        </div>
        <div>
          <InFlight running={(validations.data?.validations ?? []).filter((v) => v.state !== "finished")} />
          <LatestChanges />
        </div>
      </div>
    </Page>
  );
}

function Ingest() {
  const { data } = useStatus();
  const i = (data?.details as { ingest?: Ingested } | undefined)?.ingest;
  if (!i) return <>&nbsp;</>;
  return (
    <>
      {count(i.spans)} spans, {count(i.logs)} log lines, {count(i.points)} points received
      {i.refused > 0 && <strong> · {count(i.refused)} refused</strong>}
      {i.lastSpan && (
        <>
          {" "}
          · last span <Ago at={i.lastSpan} />
        </>
      )}
    </>
  );
}

const ranks = ["failing", "degraded", "ok", "unknown"];
const worstFirst = (s: ServiceItem[]) => [...s].sort((a, b) => ranks.indexOf(a.health) - ranks.indexOf(b.health) || a.service.localeCompare(b.service));

/** One sentence: is all well, and if not, what is not. */
function Summary({ services, validations, known, problems }: { services?: ServiceItem[]; validations?: Validation[]; known: boolean; problems: Problem[] }) {
  if (problems.length)
    return (
      <div className="summary" data-tone={problemLook(problems[0]!).tone} data-testid="open-problems">
        <span className="summary-glyph" aria-hidden>{problemLook(problems[0]!).glyph}</span>
        <ul className="list">{problems.slice(0, 4).map((p) => <ProblemLine key={p.id} p={p} />)}</ul>
        {problems.length > 4 && <Link to="/problems?state=open">{problems.length - 4} more open problems</Link>}
      </div>
    );
  if (!known) return <div className="summary" aria-busy="true">&nbsp;</div>;
  const bad = (services ?? []).filter((s) => s.health === "failing" || s.health === "degraded");
  const latest = new Map<string, Validation>();
  for (const v of validations ?? []) if (v.state === "finished" && !latest.has(v.guardian)) latest.set(v.guardian, v);
  const failed = [...latest.values()].filter((v) => v.status === "fail" || v.status === "error");
  if (!bad.length && !failed.length) {
    if (!services?.length) return <div className="summary" data-tone="info"><span className="summary-glyph" aria-hidden>i</span><p>Waiting for the first telemetry.</p></div>;
    return (
      <div className="summary" data-tone="pass">
        <span className="summary-glyph" aria-hidden>✓</span>
        <p>
          All is well: {services.length} {services.length === 1 ? "service" : "services"}, nothing failing
          {latest.size > 0 && <>, {latest.size === 1 ? "the last verdict passed" : "the last verdicts passed"}</>}.
        </p>
      </div>
    );
  }
  const failing = bad.some((s) => s.health === "failing") || failed.length > 0;
  return (
    <div className="summary" data-tone={failing ? "fail" : "warn"}>
      <span className="summary-glyph" aria-hidden>{failing ? "✕" : "!"}</span>
      <div>
        {failed.map((v) => (
          <p key={v.id}>
            <Link to={`/validations/${v.id}`}>{v.headline || `${v.guardian} #${v.number} ${statusLook(v.status).word.toLowerCase()}`}</Link> <Ago at={v.finished} />
          </p>
        ))}
        {bad.length > 0 && (
          <p>
            {bad.map((s, i) => (
              <span key={s.service + s.environment}>
                {i > 0 && ", "}
                <ServiceLink of={s} plain /> {s.health === "failing" ? "is failing" : "is degraded"} ({percent(s.errorRatio)} errors)
              </span>
            ))}{" "}
            over the last 15 minutes.
          </p>
        )}
      </div>
    </div>
  );
}

function ServiceTable({ services }: { services: ServiceItem[] }) {
  return (
    <div className="table-scroll">
      <table className="table">
        <thead>
          <tr>
            <th>Service</th>
            <th>Health</th>
            <th className="r wide">Requests</th>
            <th className="r">Errors</th>
            <th className="r wide">p95</th>
            <th className="wide">Trend</th>
          </tr>
        </thead>
        <tbody>
          {services.map((s) => (
            <tr key={`${s.service}/${s.environment}`}>
              <td><ServiceLink of={s} /></td>
              <td><Badge look={healthLook(s.health)} size="sm" /></td>
              <td className="r wide">{perSecond(s.requestsPerSecond)}</td>
              <td className="r">{percent(s.errorRatio)}</td>
              <td className="r wide">{seconds(s.p95)}</td>
              <td className="wide"><Sparkline values={s.series?.errors ?? []} width={64} tone="fail" atLeast={0.05} label={`Error ratio of ${s.service}`} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function VerdictLine({ v }: { v: Validation }) {
  return (
    <li className="verdict-line">
      <Badge look={statusLook(v.status, v.state)} size="sm" />
      <div>
        <Link className="clamp" to={`/validations/${v.id}`}>{v.headline || v.verdict?.summary || (v.state === "finished" ? "No summary" : "Being looked at")}</Link>
        <div className="dim">
          <Link className="quiet" to={`/guardians/${encodeURIComponent(v.guardian)}`}>{v.guardian}</Link> #{v.number}
          {v.tags?.purpose && <> · {v.tags.purpose}</>} · <Ago at={v.finished ?? v.created} />
        </div>
      </div>
    </li>
  );
}

function InFlight({ running }: { running: Validation[] }) {
  const loads = (useLoadRuns({ limit: 10 }).data?.runs ?? []).filter((r) => r.state === "running");
  const flows = (useWorkflowRuns({ limit: 10 }).data?.runs ?? []).filter((r) => r.state === "running" || r.state === "pending");
  const rollouts = useRolloutRuns({ state: "running", limit: 10 }).data?.runs ?? [];
  const releases = (useReleases("", { limit: 30 }).data?.releases ?? []).filter(underWay);
  return (
    <Section title="In flight">
      {running.length + loads.length + flows.length + rollouts.length + releases.length === 0 ? (
        <p className="dim">No release, rollout, load test, validation or workflow is running.</p>
      ) : (
        <ul className="list">
          {releases.map((r) => <ReleaseLine key={r.id} r={r} named />)}
          {rollouts.map((r) => <RunLine key={r.id} r={r} />)}
          {loads.map((r) => (
            <li key={r.id} className="verdict-line">
              <Badge look={stateLook(r.state)} size="sm" />
              <div>
                <Link to={`/loadtests/${r.id}`}>Load test {r.test}</Link>
                <div className="dim">on {r.target.service} · <Ago at={r.started} /></div>
              </div>
            </li>
          ))}
          {running.map((v) => <VerdictLine key={v.id} v={v} />)}
          {flows.map((r) => (
            <li key={r.id} className="verdict-line">
              <Badge look={stateLook(r.state)} size="sm" />
              <div>
                <Link to={`/workflows/${r.id}`}>Workflow {r.workflow}</Link>
                <div className="dim">for {r.event.title} · <Ago at={r.started} /></div>
              </div>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function LatestChanges() {
  const q = useEvents({ limit: 60 });
  return (
    <Section title="Latest changes" aside={<Link to="/changes">All</Link>}>
      <Answer q={q} skeleton={<Rows n={6} height={44} />}>
        {({ events }) =>
          events?.length ? (
            <ul className="list">{events.filter(notable).slice(0, 8).map((e) => <EventLine key={e.id} e={e} />)}</ul>
          ) : (
            <Empty title="No change was reported yet" command={`tidegate event send --type deployment.finished --title "checkout 2.1" --service checkout`} />
          )
        }
      </Answer>
    </Section>
  );
}
