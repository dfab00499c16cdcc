import { Button } from "@mantine/core";
import { Link } from "react-router";
import { useWorkflowRuns, useWorkflows } from "../api/queries";
import { isZeroTime, parseTime, seconds } from "../format/time";
import { Answer, Empty, Page, Rows, Section } from "../parts/Page";
import { useParam } from "../parts/range";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { stateLook } from "../status/status";

export default function WorkflowsPage() {
  const q = useWorkflows();
  const [workflow, setWorkflow] = useParam("workflow");
  const runs = useWorkflowRuns({ workflow, limit: 50 });
  return (
    <Page title="Workflows" lead="What follows an event: validate, decide, undo, verify, tell.">
      <Answer q={q} skeleton={<Rows n={2} height={88} />}>
        {({ workflows }) =>
          workflows?.length ? (
            <ul className="cards">
              {workflows.map(({ workflow: w, last }) => (
                <li key={w.name} className="card">
                  <div className="card-head">
                    <button type="button" className="link card-title" aria-pressed={workflow === w.name} onClick={() => setWorkflow(workflow === w.name ? "" : w.name)}>{w.name}</button>
                    {last && <Badge look={stateLook(last.state)} size="sm" />}
                  </div>
                  <p>on <code>{w.on.event}</code>{w.on.if && <> if <code className="promql">{w.on.if}</code></>}</p>
                  <ol className="steps-inline">{(w.steps ?? []).map((s) => <li key={s.name} title={s.if}>{s.name}</li>)}</ol>
                  {last && <div className="dim">last run <Ago at={last.started} /></div>}
                </li>
              ))}
            </ul>
          ) : <Empty title="No workflow yet" command="tidegate apply -f workflow.yaml" />
        }
      </Answer>
      <Section title={workflow ? `Runs of ${workflow}` : "Runs"} aside={workflow && <Button size="compact-xs" variant="default" onClick={() => setWorkflow("")}>Show all</Button>}>
        <Answer q={runs} skeleton={<Rows n={5} height={44} />}>
          {({ runs }) =>
            runs?.length ? (
              <ul className="list">
                {runs.map((r) => (
                  <li key={r.id} className="verdict-line" data-testid="workflow-run">
                    <Badge look={stateLook(r.state)} size="sm" />
                    <div>
                      <Link to={`/workflows/${r.id}`}>{r.workflow}</Link> <span className="dim">for {r.event.title}</span>
                      <ol className="steps-inline">
                        {(r.steps ?? []).map((s) => { const l = stateLook(s.state); return <li key={s.name} data-tone={l.tone} title={s.error || l.word}><span aria-hidden>{l.glyph}</span> {s.name}<span className="sr"> {l.word}</span></li>; })}
                      </ol>
                      <div className="dim"><Ago at={r.started} />{!isZeroTime(r.finished) && ` · took ${seconds((parseTime(r.finished) - parseTime(r.started)) / 1000)}`}</div>
                    </div>
                  </li>
                ))}
              </ul>
            ) : <p className="dim">No run yet. A run begins when its event comes.</p>
          }
        </Answer>
      </Section>
    </Page>
  );
}
