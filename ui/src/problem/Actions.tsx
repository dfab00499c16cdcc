import { Button } from "@mantine/core";
import { Link } from "react-router";
import { post, seg } from "../api/client";
import { useHealing, useHealingActions, useRemedies } from "../api/queries";
import type { HealingAction, HealingOption, Objection, Problem } from "../api/types";
import { isZeroTime, parseTime, seconds } from "../format/time";
import type { Act } from "../parts/ActDialog";
import { Section } from "../parts/Page";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { actionLook } from "./look";

/** What was done, is being done, and can be done about a problem. */
export function Actions({ p, onAct }: { p: Problem; onAct: (a: Act) => void }) {
  const actions = useHealingActions({ problem: p.id, limit: 20 }).data?.actions ?? [];
  const options = useRemedies(p.state === "open" ? p.id : null).data?.options ?? [];
  const stopped = useHealing().data?.stop.stopped;
  const busy = actions.some((a) => a.state !== "ended");
  if (!actions.length && !options.length) return null;
  return (
    <Section title="What is done about it" aside={stopped && <Link to="/audit" className="tag">healing is stopped</Link>}>
      <ul className="list">
        {actions.map((a) => (
          <li key={a.id} className="verdict-line" data-testid="action">
            <Badge look={actionLook(a)} size="sm" />
            <div>
              <strong>{a.title}</strong> {a.reason && <span>{a.reason}</span>}
              <Objections list={a.objections} />
              <div className="dim event-meta">
                <span>{a.by === "policy" ? `remediation ${a.remediation}` : a.by}</span>
                {a.approvedBy && <span>approved by {a.approvedBy}</span>}
                <Ago at={a.created} />
                {!isZeroTime(a.ended) && <span>took {seconds((parseTime(a.ended) - parseTime(a.created)) / 1000)}</span>}
                {(a.looks ?? []).map((l) => <Link key={l.validation} to={`/validations/${l.validation}`}>verification {l.status || "runs"}</Link>)}
              </div>
            </div>
            {a.state === "waiting" && (
              <div className="buttons">
                <Button size="xs" onClick={() => onAct(decideAct(a, "approve"))}>Approve</Button>
                <Button size="xs" variant="default" onClick={() => onAct(decideAct(a, "reject"))}>Reject</Button>
              </div>
            )}
          </li>
        ))}
      </ul>
      {!busy && options.length > 0 && (
        <div className="remedies">
          {options.map((o) => {
            const final = (o.objections ?? []).some((x) => x.final);
            return (
              <div key={o.action} className="card" data-testid="remedy">
                <div className="card-head">
                  <span className="card-title">{o.title}</span>
                  {o.suggested && <span className="tag">suggested</span>}
                </div>
                <Objections list={o.objections} />
                <Button size="xs" variant={o.suggested ? "filled" : "default"} disabled={final} onClick={() => onAct(remedyAct(p, o))}>Do this</Button>
              </div>
            );
          })}
        </div>
      )}
    </Section>
  );
}

function Objections({ list }: { list: Objection[] | null | undefined }) {
  if (!list?.length) return null;
  return <ul className="objections">{list.map((o) => <li key={o.rule}><span aria-hidden>!</span> {o.reason} <span className="dim">({o.rule})</span></li>)}</ul>;
}

const decideAct = (a: HealingAction, what: "approve" | "reject"): Act => ({
  title: what === "approve" ? `Approve: ${a.title}` : `Reject: ${a.title}`,
  effects: what === "approve" ? [<>{a.title}, at once.</>, "Then it is verified that it helped."] : ["It is not done.", "The next attempt of the remediation follows, if there is one."],
  confirm: what === "approve" ? a.title : "Reject",
  dangerous: what === "approve",
  run: (who, reason) => post(`/v1/healing/actions/${seg(a.id)}/${what}`, { who, reason }),
});

const remedyAct = (p: Problem, o: HealingOption): Act => ({
  title: o.title,
  effects: [
    <>{o.title}, at once.</>,
    ...(o.objections ?? []).map((x) => <>Against the safety rule “{x.rule}”: {x.reason}</>),
    "Then it is verified that it helped; all of it is on the timeline and in the audit.",
  ],
  confirm: o.title,
  dangerous: true,
  run: (who, reason) => post(`/v1/problems/${seg(p.id)}/remediate`, { action: o.action, who, reason, override: (o.objections ?? []).length > 0 }),
});
