import { Link, useParams } from "react-router";
import { useWorkflowRun } from "../api/queries";
import type { StepRun, WorkflowRun } from "../api/types";
import { isZeroTime, parseTime, seconds } from "../format/time";
import { eventHref } from "../parts/EventLine";
import { Answer, Page } from "../parts/Page";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { stateLook } from "../status/status";

export default function WorkflowRunPage() {
  const id = useParams().runId ?? "";
  const q = useWorkflowRun(id);
  const r = q.data;
  return (
    <Page
      title={r ? r.workflow : "Workflow run"}
      lead={r ? <><Badge look={stateLook(r.state)} size="sm" /> for <Link to={eventHref(r.event)}>{r.event.title}</Link> · started <Ago at={r.started} />{!isZeroTime(r.finished) && ` · took ${seconds((parseTime(r.finished) - parseTime(r.started)) / 1000)}`}</> : <>&nbsp;</>}
    >
      <Answer q={q} height={360}>{(r) => <Steps r={r} />}</Answer>
    </Page>
  );
}

function Steps({ r }: { r: WorkflowRun }) {
  return (
    <>
      {r.error && <div className="verdict" data-tone="fail"><span className="summary-glyph" aria-hidden>✕</span><p className="verdict-text">{r.error}</p></div>}
      <ol className="steps">
        {(r.steps ?? []).map((s) => <Step key={s.name} s={s} condition={r.definition?.steps?.find((d) => d.name === s.name)?.if} />)}
      </ol>
    </>
  );
}

function Step({ s, condition }: { s: StepRun; condition?: string }) {
  const look = stateLook(s.state);
  const took = (parseTime(s.finished) - parseTime(s.started)) / 1000;
  return (
    <li className="step" data-tone={look.tone} data-testid="step">
      <div className="step-head">
        <Badge look={look} size="sm" />
        <strong>{s.name}</strong> <span className="tag">{s.kind}</span>
        <span className="dim">
          {!isZeroTime(s.started) && <Ago at={s.started} />}
          {!isZeroTime(s.started) && !isZeroTime(s.finished) && ` · took ${seconds(took)}`}
          {(s.attempts ?? 0) > 1 && ` · ${s.attempts} attempts`}
        </span>
      </div>
      {condition && <p className="dim">if <code>{condition}</code></p>}
      {s.error && <p className="failure-inline">{s.error}</p>}
      <Value title="Input" v={s.input} />
      <Value title="Output" v={s.output} open />
    </li>
  );
}

function Value({ title, v, open }: { title: string; v: unknown; open?: boolean }) {
  if (v === undefined || v === null) return null;
  const id = validationOf(v);
  return (
    <details open={open}>
      <summary>{title}</summary>
      {id && <p><Link to={`/validations/${id}`}>Open the validation</Link></p>}
      <pre className="output">{JSON.stringify(v, null, 2)}</pre>
    </details>
  );
}

function validationOf(v: unknown): string | undefined {
  if (typeof v !== "object" || v === null) return undefined;
  const o = v as Record<string, unknown>;
  for (const k of ["validation", "validationId", "report"]) if (typeof o[k] === "string" && o[k]) return o[k] as string;
  return undefined;
}
