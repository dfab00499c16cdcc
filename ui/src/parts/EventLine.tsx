import { Link } from "react-router";
import type { ChangeEvent } from "../api/types";
import { reportHref } from "../pipeline/look";
import { kindOf } from "./kinds";
import { ServiceLink } from "./service";
import { Ago } from "./time";

/** One event of a timeline: what, who, where, when. */
export function EventLine({ e, actions }: { e: ChangeEvent; actions?: React.ReactNode }) {
  const k = kindOf(e.kind);
  return (
    <li className="event-line" id={`event-${e.id}`} data-kind={e.kind}>
      <span className="event-glyph" title={k.word} aria-label={k.word}>{k.glyph}</span>
      <div className="event-body">
        <div className="event-title">
          <Link className="quiet" to={eventHref(e)}>{e.title}</Link>
          <FromTo e={e} />
          {e.undoOf && <span className="tag">undo</span>}
        </div>
        <div className="dim event-meta">
          {e.who && <span>{e.who}</span>}
          {e.service && <ServiceLink of={e} />}
          <Ago at={e.start} />
          {e.reason && <span className="event-reason">“{e.reason}”</span>}
        </div>
      </div>
      {actions}
    </li>
  );
}

/** The values before and after, unless the title says them. */
export function FromTo({ e }: { e: ChangeEvent }) {
  if (!e.from && !e.to) return null;
  if (e.kind === "validation" || (e.to && e.title.includes("→") && e.title.includes(e.to))) return null;
  return <code className="from-to">{e.from || "–"} → {e.to || "–"}</code>;
}

/** Where an event leads: its verdict, its test run, its release, or its place on the timeline. */
export function eventHref(e: ChangeEvent): string {
  const p = e.properties ?? {};
  if (e.kind === "validation" && p.comparison) return reportHref(p.pipeline ?? "", p.comparison, p.validation);
  if (e.type.startsWith("pipeline.") && p.release) return `/releases/${p.release}`;
  if (e.kind === "validation" && (p.validation || p.validationId)) return `/validations/${p.validation || p.validationId}`;
  if (e.kind === "test" && (p.runId || p.run)) return `/loadtests/${p.runId || p.run}`;
  if (e.kind === "problem" && p.problem) return `/problems/${p.problem}`;
  if (e.type.startsWith("rollout.") && p.run) return `/rollouts/${p.run}`;
  return `/changes?id=${encodeURIComponent(e.id)}`;
}
