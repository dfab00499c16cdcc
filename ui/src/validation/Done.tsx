import { Link } from "react-router";
import type { ChangeEvent, Validation, WorkflowRun } from "../api/types";
import { parseTime, seconds } from "../format/time";
import { Section } from "../parts/Page";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { stateLook } from "../status/status";

/** What was decided and done after the verdict. */
export function Done({ undone, flows, validation }: { undone: ChangeEvent[]; flows: WorkflowRun[]; validation: Validation }) {
  const finished = parseTime(validation.finished);
  const after = (at: string) => {
    const s = (parseTime(at) - finished) / 1000;
    return Number.isFinite(s) && s >= 0 ? `${seconds(Math.round(s * 10) / 10)} after the verdict` : null;
  };
  return (
    <Section title="What was done">
      <ul className="list" data-testid="done">
        {undone.map((e) => (
          <li key={e.id} className="verdict-line">
            <span className="badge badge-sm" data-tone="pass"><span className="badge-glyph" aria-hidden>↩</span>Undone</span>
            <div>
              <Link className="quiet" to={`/changes?id=${encodeURIComponent(e.id)}`}>{e.title}</Link>
              <div className="dim">{e.who || "Tidegate"} · {after(e.start) ?? <Ago at={e.start} />}{e.reason && ` · “${e.reason}”`}</div>
            </div>
          </li>
        ))}
        {flows.map((r) => (
          <li key={r.id} className="verdict-line">
            <Badge look={stateLook(r.state)} size="sm" />
            <div>
              <Link to={`/workflows/${r.id}`}>Workflow {r.workflow}</Link>
              <ol className="steps-inline">
                {(r.steps ?? []).map((s) => {
                  const look = stateLook(s.state);
                  return <li key={s.name} data-tone={look.tone} title={s.error || look.word}><span aria-hidden>{look.glyph}</span> {s.name} <span className="dim">{look.word.toLowerCase()}</span></li>;
                })}
              </ol>
            </div>
          </li>
        ))}
      </ul>
    </Section>
  );
}
