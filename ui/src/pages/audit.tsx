import { Button } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { post } from "../api/client";
import { useEvents, useFlagAudit, useHealing } from "../api/queries";
import { parseTime } from "../format/time";
import { ActDialog, type Act } from "../parts/ActDialog";
import { eventHref } from "../parts/EventLine";
import { kindOf } from "../parts/kinds";
import { Answer, Empty, Page, Rows } from "../parts/Page";
import { useParam } from "../parts/range";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import type { Look } from "../status/status";

interface Entry {
  id: string;
  at: string;
  who: string;
  what: string;
  kind: string;
  why: string;
  to: string;
}

/** Who did what and why: every event with a person or system behind it, and every change of a flag. */
export default function AuditPage() {
  const [who, setWho] = useParam("who");
  const [find, setFind] = useParam("q");
  const events = useEvents({ limit: 200, who });
  const flags = useFlagAudit({ limit: 200 });
  return (
    <Page title="Audit" lead="Who did what, when and why.">
      <HealingSwitch />
      <div className="filters">
        <input className="filter" placeholder="Person" aria-label="Person" defaultValue={who} onBlur={(e) => setWho(e.currentTarget.value.trim())} onKeyDown={(e) => e.key === "Enter" && setWho(e.currentTarget.value.trim())} />
        <input className="filter" type="search" placeholder="Text" aria-label="Text" value={find} onChange={(e) => setFind(e.currentTarget.value)} />
      </div>
      <Answer q={events} skeleton={<Rows n={10} height={40} />}>
        {({ events: evs }) => {
          const reported = new Set((evs ?? []).map((e) => e.id));
          const all: Entry[] = [
            ...(evs ?? []).filter((e) => e.who).map((e) => ({ id: e.id, at: e.start, who: e.who!, what: e.title, kind: kindOf(e.kind).word, why: e.reason ?? "", to: eventHref(e) })),
            ...(flags.data?.audit ?? [])
              .filter((a) => !(a.eventId && reported.has(a.eventId)) && (!who || a.who === who))
              .map((a) => ({ id: a.id, at: a.at, who: a.who || a.what, what: `${a.key}: ${a.from || "–"} → ${a.to || "–"}`, kind: `Flag, ${a.what}`, why: a.reason || a.note || "", to: `/flags?key=${encodeURIComponent(a.key)}&set=${encodeURIComponent(a.set)}` })),
          ]
            .filter((x) => !find || `${x.what} ${x.why} ${x.who}`.toLowerCase().includes(find.toLowerCase()))
            .sort((a, b) => parseTime(b.at) - parseTime(a.at));
          if (!all.length) return <Empty title="Nobody did anything yet" command="tidegate flag set my-flag on --reason 'trying it'" />;
          return (
            <div className="table-scroll">
              <table className="table">
                <thead><tr><th>When</th><th>Who</th><th>What</th><th className="wide">Kind</th><th>Why</th></tr></thead>
                <tbody>
                  {all.map((x) => (
                    <tr key={x.id}>
                      <td className="nowrap"><Ago at={x.at} /></td>
                      <td>{x.who}</td>
                      <td><Link className="quiet" to={x.to}>{x.what}</Link></td>
                      <td className="wide">{x.kind}</td>
                      <td className="grow">{x.why}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          );
        }}
      </Answer>
    </Page>
  );
}

/** The one switch that stops everything that is done by itself. */
function HealingSwitch() {
  const q = useHealing();
  const [act, setAct] = useState<Act | null>(null);
  const stop = q.data?.stop;
  if (!stop) return null;
  const look: Look = stop.stopped ? { tone: "warn", glyph: "■", word: "Stopped" } : { tone: "pass", glyph: "✓", word: "Working" };
  return (
    <div className="verdict-line" data-testid="healing-switch">
      <Badge look={look} size="sm" />
      <div>
        <strong>Healing</strong> {stop.stopped ? <>was stopped by {stop.who} (“{stop.reason}”) <Ago at={stop.since!} />: nothing is done about problems by itself.</> : "does what remediations say about problems, by itself."}
        <div className="dim">{Object.entries(q.data?.lastDay ?? {}).map(([o, n]) => `${n} ${o}`).join(", ") || "Nothing was done in the last day."}</div>
      </div>
      <Button size="xs" color={stop.stopped ? undefined : "red"} variant={stop.stopped ? "default" : "filled"} onClick={() => setAct(switchAct(stop.stopped))}>{stop.stopped ? "Start healing" : "Stop healing"}</Button>
      <ActDialog act={act} onClose={() => setAct(null)} />
    </div>
  );
}

const switchAct = (stopped: boolean): Act => ({
  title: stopped ? "Start healing" : "Stop healing",
  effects: stopped ? ["Remediations act on open problems again, by their policies."] : ["No action is begun any more, by nobody, until it is started again.", "What is under way is still verified."],
  confirm: stopped ? "Start healing" : "Stop healing",
  dangerous: !stopped,
  run: (who, reason) => post(`/v1/healing/${stopped ? "start" : "stop"}`, { who, reason }),
});
