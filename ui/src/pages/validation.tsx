import { Button, Skeleton } from "@mantine/core";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { useEvents, useValidation, useWorkflowRuns } from "../api/queries";
import type { ChangeEvent, Result, Validation, WorkflowRun } from "../api/types";
import { absolute, parseTime, seconds } from "../format/time";
import { pinAct, trainingAct } from "../guardian/acts";
import { ActDialog, type Act } from "../parts/ActDialog";
import { Answer, Page, Section } from "../parts/Page";
import { ServiceLink } from "../parts/service";
import { Ago } from "../parts/time";
import { undoAct } from "../parts/undo";
import { Badge } from "../status/Badge";
import { severity, statusLook } from "../status/status";
import { CauseCard } from "../validation/CauseCard";
import { Done } from "../validation/Done";
import { FailureGroups } from "../validation/FailureGroups";
import { LogFindings } from "../validation/LogFindings";
import { ObjectiveCard } from "../validation/ObjectiveCard";
import { SlowPaths } from "../validation/SlowPaths";
import { WatchCharts } from "../validation/Watch";

/** One verdict: what happened, why, what now. */
export default function ValidationPage() {
  const id = useParams().id ?? "";
  const q = useValidation(id);
  const [act, setAct] = useState<Act | null>(null);
  const v = q.data;
  return (
    <Page title={v ? `${v.guardian} #${v.number}` : "Validation"} lead={v ? <Where v={v} /> : <>&nbsp;</>} aside={v?.state === "finished" && <Reports id={v.id} />}>
      <Answer q={q} skeleton={<Waiting />}>{(v) => <Body v={v} onAct={setAct} />}</Answer>
      <ActDialog act={act} onClose={() => setAct(null)} />
    </Page>
  );
}

function Waiting() {
  return (
    <>
      <Skeleton height={88} radius="md" mb="md" />
      <div className="cards">
        {[0, 1, 2].map((i) => <Skeleton key={i} height={230} radius="md" />)}
      </div>
    </>
  );
}

function Where({ v }: { v: Validation }) {
  const from = parseTime(v.window.from);
  const to = parseTime(v.window.to);
  return (
    <>
      <Link to={`/guardians/${encodeURIComponent(v.guardian)}`}>{v.guardian}</Link> on <ServiceLink of={v.target} />
      {" · "}
      <span title={`${absolute(from)} – ${absolute(to)}`}>{seconds((to - from) / 1000)} ending <Ago at={v.window.to} /></span>
      {" · "}asked by {v.who || v.trigger}
      {v.tags?.purpose && <> · <span className="tag">{v.tags.purpose}</span></>}
      {v.pinned && <span className="tag">★ reference</span>}
      {v.training !== "auto" && <span className="tag">{v.training} for training</span>}
    </>
  );
}

function Reports({ id }: { id: string }) {
  const base = `/v1/validations/${encodeURIComponent(id)}/report`;
  return (
    <div className="buttons">
      <Button component="a" href={`${base}?format=html&download=true`} size="xs" download>Download report</Button>
      <Button component="a" href={`${base}?format=html`} target="_blank" rel="noreferrer" size="xs" variant="default">Open</Button>
      <Button component="a" href={`${base}?format=markdown&download=true`} size="xs" variant="default" download>Markdown</Button>
      <Button component="a" href={`${base}?format=json&download=true`} size="xs" variant="default" download>JSON</Button>
    </div>
  );
}

function Body({ v, onAct }: { v: Validation; onAct: (a: Act) => void }) {
  const e = v.evidence;
  const cause = e?.changes?.[0]?.likely ? e.changes[0] : undefined;
  const others = (e?.changes ?? []).filter((c) => c !== cause);
  const undone = useUndone(v, cause?.event);
  const flows = useWorkflowRuns({ limit: 50 }).data?.runs?.filter((r) => concerns(r, v)) ?? [];
  const look = statusLook(v.status, v.state);
  const undo = (ev: ChangeEvent) => onAct(undoAct(ev));
  const results = v.verdict?.results ?? [];

  return (
    <>
      <div className="verdict" data-tone={look.tone}>
        <Badge look={look} size="lg" />
        <div>
          <p className="verdict-text" data-testid="headline">{v.headline || v.verdict?.summary || (v.state === "pending" ? "Waiting for the window to end." : "Being looked at.")}</p>
          {v.headline && v.verdict?.summary && v.headline !== v.verdict.summary && <p className="dim">{v.verdict.summary}</p>}
        </div>
      </div>

      {cause && <CauseCard c={cause} undone={undone} firstFailure={e?.firstFailure} onUndo={undo} />}
      {(!!undone?.length || flows.length > 0) && <Done undone={undone ?? []} flows={flows} validation={v} />}

      <WatchCharts v={v} />

      {results.length > 0 && (
        <Section title="Objectives">
          <div className="cards objective-cards">
            {worstFirst(results).map((r) => (
              <ObjectiveCard key={r.name} r={r} source={v.sources?.find((s) => s.objective === r.name)} window={v.window} change={cause?.event} />
            ))}
          </div>
        </Section>
      )}

      {!!e?.failures?.length && (
        <Section title="Where it fails" aside={<span className="dim">{e.failedTraces} failing traces looked at{e.truncated && ", there were more"}</span>}>
          <FailureGroups groups={e.failures} />
        </Section>
      )}
      {!!e?.slow?.length && <Section title="Where time goes"><SlowPaths paths={e.slow} /></Section>}
      {!!e?.logs?.length && <Section title="What the logs say"><LogFindings logs={e.logs} /></Section>}
      {others.length > 0 && (
        <Section title={cause ? "Other changes" : "Changes before"}>
          {others.map((c) => <CauseCard key={c.event.id} c={c} undone={[]} onUndo={undo} quiet />)}
        </Section>
      )}
      {!!e?.gaps?.length && (
        <Section title="Not looked at">
          <ul>{e.gaps.map((g) => <li key={g}>{g}</li>)}</ul>
        </Section>
      )}
      {v.state === "finished" && (
        <Section title="Learning">
          <p className="dim">
            {v.training === "auto" ? "Later runs learn from this one only if it passed." : v.training === "accepted" ? "Later runs learn from this one." : "Later runs do not learn from this one."}
          </p>
          <div className="buttons">
            <Button size="xs" variant="default" onClick={() => onAct(trainingAct(v, v.training === "accepted" ? "auto" : "accepted"))}>{v.training === "accepted" ? "Take acceptance back" : "Accept for training"}</Button>
            <Button size="xs" variant="default" onClick={() => onAct(trainingAct(v, v.training === "rejected" ? "auto" : "rejected"))}>{v.training === "rejected" ? "Take rejection back" : "Reject for training"}</Button>
            <Button size="xs" variant="default" onClick={() => onAct(pinAct(v))}>{v.pinned ? "Unpin" : "Pin as reference"}</Button>
          </div>
        </Section>
      )}
    </>
  );
}

const worstFirst = (rs: Result[]) => [...rs].sort((a, b) => severity(a.status) - severity(b.status));

/** Events after the verdict that took the cause back; undefined until it is known. */
function useUndone(v: Validation, cause: ChangeEvent | undefined): ChangeEvent[] | undefined {
  const from = Math.floor(parseTime(v.window.from) / 1000);
  const q = useEvents({ from, to: Math.floor(Date.now() / 60_000) * 60 + 120, limit: 200, service: cause?.service, kind: cause?.kind === "flag" ? "flag" : undefined }, cause !== undefined);
  if (!cause) return [];
  if (q.isError) return []; // better an undo too many on offer than none
  return q.data && (q.data.events ?? []).filter((e) => e.undoOf === cause.id);
}

function concerns(run: WorkflowRun, v: Validation): boolean {
  if (v.eventId && run.event.id === v.eventId) return true;
  return (run.steps ?? []).some((s) => s.output !== undefined && JSON.stringify(s.output).includes(`"${v.id}"`));
}
