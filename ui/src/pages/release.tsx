import { Button, Skeleton } from "@mantine/core";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { useRelease, useReleases } from "../api/queries";
import type { Release, StageRun } from "../api/types";
import { isZeroTime, parseTime, seconds } from "../format/time";
import { ActDialog, type Act } from "../parts/ActDialog";
import { Answer, Page, Section } from "../parts/Page";
import { Ago } from "../parts/time";
import { ActionCard } from "../pipeline/ActionCard";
import { decideAct, rerunAct, retryAct } from "../pipeline/acts";
import { Changes } from "../pipeline/Changes";
import { releaseLook, retriable, sentence, underWay } from "../pipeline/look";
import { ReleaseLine } from "../pipeline/ReleaseLine";
import { Badge } from "../status/Badge";

/** One version on its way: what happened, why, what now. */
export default function ReleasePage() {
  const id = useParams().id ?? "";
  const q = useRelease(id);
  const [act, setAct] = useState<Act | null>(null);
  const r = q.data;
  return (
    <Page
      title={r ? `${r.pipeline} #${r.number}: ${r.revision.version}` : "Release"}
      lead={r ? <><Link to={`/pipelines/${encodeURIComponent(r.pipeline)}`}>{r.pipeline}</Link> · by {r.who}{r.reason && <> (“{r.reason}”)</>}, <Ago at={r.created} /></> : <>&nbsp;</>}
      aside={r && !underWay(r) && (
        <div className="buttons">
          {retriable(r) && r.stages?.[r.stage] && <Button size="xs" onClick={() => setAct(retryAct(r, r.stages![r.stage]!))}>Retry {r.stages[r.stage]!.name}</Button>}
          <Button size="xs" variant="default" onClick={() => setAct(rerunAct(r))}>Release it again</Button>
        </div>
      )}
    >
      <Answer q={q} skeleton={<Skeleton height={320} radius="md" />}>{(r) => <Body r={r} act={setAct} />}</Answer>
      <ActDialog act={act} onClose={() => setAct(null)} />
    </Page>
  );
}

function Body({ r, act }: { r: Release; act: (a: Act) => void }) {
  const look = releaseLook(r.state);
  const now = r.stages?.[r.stage];
  const asked = now?.actions?.find((a) => a.kind === "approve" && a.state === "waiting");
  return (
    <>
      <div className="verdict" data-tone={look.tone}>
        <Badge look={look} size="lg" />
        <div>
          <p className="verdict-text" data-testid="headline">{sentence(r)}</p>
          <p className="dim">
            {r.revision.commit && <>commit <code>{r.revision.commit.slice(0, 12)}</code> · </>}
            {r.revision.source && <>from {r.revision.source} · </>}
            {isZeroTime(r.finished) ? <>began <Ago at={r.created} /></> : <>took {seconds((parseTime(r.finished) - parseTime(r.created)) / 1000)}</>}
            {r.supersededBy && <> · <Link to={`/releases/${r.supersededBy}`}>the newer release</Link></>}
            {r.rerunOf && <> · <Link to={`/releases/${r.rerunOf}`}>the release it takes again</Link></>}
          </p>
          {asked && now && (
            <div className="buttons" data-testid="decide">
              <Button size="xs" onClick={() => act(decideAct(r, now, asked, true))}>Approve {r.revision.version}</Button>
              <Button size="xs" color="red" variant="outline" onClick={() => act(decideAct(r, now, asked, false))}>Reject</Button>
            </div>
          )}
        </div>
      </div>
      {(r.stages ?? []).map((s, i) => <Stage key={s.name} r={r} s={s} n={i + 1} act={act} />)}
      <Section title="What changed"><Changes r={r} /></Section>
      <Others r={r} />
    </>
  );
}

function Stage({ r, s, n, act }: { r: Release; s: StageRun; n: number; act: (a: Act) => void }) {
  const took = isZeroTime(s.entered) || isZeroTime(s.finished) ? "" : `took ${seconds((parseTime(s.finished) - parseTime(s.entered)) / 1000)}`;
  return (
    <Section
      title={<span className="stage-title"><span className="dim">{n}</span> {s.name} <Badge look={releaseLook(s.state)} size="sm" /></span>}
      aside={<span className="dim">{s.environment !== s.name && `${s.environment} `}{s.attempt > 1 && `attempt ${s.attempt} `}{took}</span>}
    >
      {s.error && <p className="failure-inline" data-testid="stage-error">{s.error}</p>}
      {s.state === "pending" ? (
        <ol className="steps-inline">{(s.actions ?? []).map((a) => <li key={a.name}>{a.name}</li>)}</ol>
      ) : (
        <ol className="cards actions" data-testid="stage" data-stage={s.name}>{(s.actions ?? []).map((a) => <ActionCard key={a.name} r={r} s={s} a={a} act={act} />)}</ol>
      )}
      {(s.rollbacks ?? []).map((u) => (
        <p key={u.action} className={u.error ? "failure-inline" : undefined}>
          ↩ {u.app}: <code className="from-to">{u.from} → {u.to || "nothing"}</code> {u.error ? u.error : u.done ? <>taken back <Ago at={u.finished!} /></> : "is being taken back"}
        </p>
      ))}
      {(s.earlier ?? []).map((e) => (
        <p key={e.attempt} className="dim">Attempt {e.attempt} {releaseLook(e.state).word.toLowerCase()}{e.error && `: ${e.error}`}. Tried again by {e.retriedBy}{e.reason && `: “${e.reason}”`}.</p>
      ))}
    </Section>
  );
}

/** The pipeline's releases around this one. */
function Others({ r }: { r: Release }) {
  const list = useReleases(r.pipeline, { limit: 7, before: r.number + 4 }).data?.releases?.filter((o) => o.id !== r.id);
  if (!list?.length) return null;
  return <Section title="Before and after" aside={<Link to={`/pipelines/${encodeURIComponent(r.pipeline)}`}>All</Link>}><ul className="list">{list.map((o) => <ReleaseLine key={o.id} r={o} />)}</ul></Section>;
}
