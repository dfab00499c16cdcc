import { Button } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { post, seg } from "../api/client";
import { useLoadRuns, useLoadTests } from "../api/queries";
import type { LoadRun, LoadTest } from "../api/types";
import { count, percent, perSecond } from "../format/number";
import { nanos } from "../format/time";
import { ActDialog, type Act } from "../parts/ActDialog";
import { Answer, Empty, Page, Rows, Section } from "../parts/Page";
import { useParam } from "../parts/range";
import { ServiceLink } from "../parts/service";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { stateLook } from "../status/status";

export default function LoadTestsPage() {
  const q = useLoadTests();
  const [test, setTest] = useParam("test");
  const runs = useLoadRuns({ test, limit: 50 });
  const [act, setAct] = useState<Act | null>(null);
  return (
    <Page title="Load tests" lead="Requests at a set pace, and what the caller saw.">
      <Answer q={q} skeleton={<Rows n={3} height={72} />}>
        {({ tests }) =>
          tests?.length ? (
            <ul className="cards">
              {tests.map(({ test: t, last }) => (
                <li key={t.name} className="card" data-testid="loadtest">
                  <div className="card-head">
                    <button type="button" className="link card-title" aria-pressed={test === t.name} onClick={() => setTest(test === t.name ? "" : t.name)}>{t.name}</button>
                    {last && <Badge look={stateLook(last.state)} size="sm" />}
                  </div>
                  <div className="dim"><ServiceLink of={t.target} />{t.purpose && <> · {t.purpose}</>}</div>
                  <p className="mono clip" title={what(t)}>{what(t)}</p>
                  <div className="card-foot">
                    <span className="dim">{pace(t)}{last && <> · last <Ago at={last.started} /></>}</span>
                    <Button size="compact-sm" disabled={last?.state === "running"} onClick={() => setAct(startAct(t))}>{last?.state === "running" ? "Running" : "Start"}</Button>
                  </div>
                </li>
              ))}
            </ul>
          ) : (
            <Empty title="No load test yet" command="tidegate apply -f loadtest.yaml" />
          )
        }
      </Answer>
      <Section title={test ? `Runs of ${test}` : "Runs"} aside={test && <Button size="compact-xs" variant="default" onClick={() => setTest("")}>Show all</Button>}>
        <Answer q={runs} skeleton={<Rows n={5} height={40} />}>
          {({ runs }) => (runs?.length ? <RunTable runs={runs} /> : <p className="dim">No run yet.</p>)}
        </Answer>
      </Section>
      <ActDialog act={act} onClose={() => setAct(null)} />
    </Page>
  );
}

const what = (t: LoadTest) => (t.request ? `${t.request.method || "GET"} ${t.request.url}` : (t.command?.args ?? []).join(" "));

function pace(t: LoadTest): string {
  const total = t.duration || (t.stages ?? []).reduce((s, x) => s + x.over, 0);
  const top = Math.max(0, ...(t.stages ?? []).map((s) => s.to));
  return [top > 0 && `up to ${perSecond(top)}`, total > 0 && `for ${nanos(total)}`].filter(Boolean).join(" ");
}

function startAct(t: LoadTest): Act {
  return {
    title: `Start ${t.name}`,
    effects: [
      <>{t.request ? <>Requests {pace(t)} go to <code>{what(t)}</code>.</> : <>The command <code>{what(t)}</code> runs on the server.</>}</>,
      <>Started and finished appear on <b>{t.target.service}</b>; workflows that wait for a finished test begin.</>,
    ],
    confirm: `Start ${t.name}`,
    needsReason: false,
    run: (who) => post(`/v1/loadtests/${seg(t.name)}/runs`, { who }),
  };
}

function RunTable({ runs }: { runs: LoadRun[] }) {
  return (
    <div className="table-scroll">
      <table className="table">
        <thead><tr><th>State</th><th>Test</th><th>Started</th><th className="wide">Who</th><th className="r">Requests</th><th className="r">Failed</th><th className="r">p90</th><th className="r wide">p99</th></tr></thead>
        <tbody>
          {runs.map((r) => (
            <tr key={r.id}>
              <td><Badge look={stateLook(r.state)} size="sm" /></td>
              <td><Link to={`/loadtests/${r.id}`}>{r.test}</Link> {r.purpose && <span className="dim">{r.purpose}</span>}</td>
              <td><Ago at={r.started} /></td>
              <td className="wide">{r.who}</td>
              <td className="r">{r.result ? count(r.result.requests) : "–"}</td>
              <td className="r">{r.result ? percent(r.result.requests ? r.result.failures / r.result.requests : 0) : "–"}</td>
              <td className="r">{r.result ? nanos(r.result.p90) : "–"}</td>
              <td className="r wide">{r.result ? nanos(r.result.p99) : "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
