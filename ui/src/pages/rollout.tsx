import { Button, Skeleton } from "@mantine/core";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { post, seg } from "../api/client";
import { useRolloutRun } from "../api/queries";
import type { RolloutRun } from "../api/types";
import { count } from "../format/number";
import { isZeroTime, parseTime, seconds } from "../format/time";
import { ActDialog, type Act } from "../parts/ActDialog";
import { Answer, Page, Section } from "../parts/Page";
import { ServiceLink } from "../parts/service";
import { Ago } from "../parts/time";
import { runLook, undecided } from "../rollout/look";
import { Badge } from "../status/Badge";
import { statusLook } from "../status/status";

/** One rollout: what happened, why, what now. */
export default function RolloutPage() {
  const id = useParams().id ?? "";
  const q = useRolloutRun(id);
  const [act, setAct] = useState<Act | null>(null);
  const r = q.data;
  return (
    <Page
      title={r ? `${r.rollout.name}: ${r.candidate.version || r.candidate.name}` : "Rollout"}
      lead={r ? <>by {r.who}{r.reason && <> (“{r.reason}”)</>}, <Ago at={r.started} /> · <ServiceLink of={r.rollout.target} /></> : <>&nbsp;</>}
      aside={r && undecided(r) && (
        <div className="buttons">
          {r.state === "running" && <Button size="xs" variant="default" onClick={() => setAct(promoteAct(r))}>Go on</Button>}
          <Button size="xs" color="red" onClick={() => setAct(abortAct(r))}>Take it back</Button>
        </div>
      )}
    >
      <Answer q={q} skeleton={<Skeleton height={200} radius="md" />}>{(r) => <Body r={r} />}</Answer>
      <ActDialog act={act} onClose={() => setAct(null)} />
    </Page>
  );
}

function Body({ r }: { r: RolloutRun }) {
  const look = runLook(r);
  const from = r.stable.version || r.stable.name;
  return (
    <>
      <div className="verdict" data-tone={look.tone}>
        <Badge look={look} size="lg" />
        <div>
          <p className="verdict-text" data-testid="headline">{r.why || `${r.candidate.version || r.candidate.name} gets its users.`}</p>
          <p className="dim">
            {from} → {r.candidate.version || r.candidate.name}
            {r.decidedBy && <> · decided by {r.decidedBy}</>}
            {!isZeroTime(r.finished) && <> · took {seconds((parseTime(r.finished) - parseTime(r.started)) / 1000)}</>}
            {r.back && !isZeroTime(r.back.done) && <> · all traffic back within {seconds((parseTime(r.back.done) - parseTime(r.back.asked)) / 1000)}</>}
            {r.phase === "keep" && <> · {from} is kept until <Ago at={r.keepUntil!} /></>}
          </p>
        </div>
      </div>
      <Section title="Steps">
        <ol className="cards">
          {(r.steps ?? []).map((s, i) => {
            const def = r.rollout.steps?.[i];
            const now = i === r.at && r.state === "running";
            return (
              <li key={i} className="card" data-testid="rollout-step" data-now={now || undefined}>
                <div className="card-head"><span className="card-title">{s.weight} %</span>{now && <Badge look={look} size="sm" />}</div>
                <p className="dim">
                  {def?.loadTest && <>load test {def.loadTest} </>}
                  {!!def?.for && <>judged for {seconds(def.for / 1e9)} </>}
                  {!!def?.pause && <>then waits {seconds(def.pause / 1e9)} </>}
                  {def?.approve && <>needs a person{s.approvedBy && `: ${s.approvedBy}`}</>}
                </p>
                {isZeroTime(s.shift.asked) ? <p className="dim">not reached</p> : <p className="dim">traffic moved <Ago at={s.shift.asked} /> within {seconds((parseTime(s.shift.done) - parseTime(s.shift.asked)) / 1000)}</p>}
                <ul className="list">
                  {(s.verdicts ?? []).map((v) => (
                    <li key={v.validation}>
                      <Badge look={statusLook(v.status)} size="sm" /> <Link to={`/validations/${v.validation}`}>{v.headline || v.status}</Link> <span className="dim">{count(v.requests)} requests</span>
                    </li>
                  ))}
                </ul>
              </li>
            );
          })}
        </ol>
      </Section>
    </>
  );
}

const promoteAct = (r: RolloutRun): Act => ({
  title: `Go on with ${r.rollout.name}`,
  effects: [<>{r.at + 1 < (r.steps ?? []).length ? `${r.steps?.[r.at + 1]?.weight} % of the traffic` : "All traffic"} goes to {r.candidate.version || r.candidate.name}, whatever the verdict of this step.</>],
  confirm: "Go on",
  dangerous: true,
  run: (who, reason) => post(`/v1/rollout-runs/${seg(r.id)}/promote`, { who, reason }),
});

const abortAct = (r: RolloutRun): Act => ({
  title: `Take ${r.candidate.version || r.candidate.name} back`,
  effects: [<>All traffic goes to {r.stable.version || r.stable.name}, at once.</>, "Requests under way are answered by the version that has them."],
  confirm: `Take ${r.candidate.version || r.candidate.name} back`,
  dangerous: true,
  run: (who, reason) => post(`/v1/rollout-runs/${seg(r.id)}/abort`, { who, reason }),
});
