import { Link } from "react-router";
import type { ChangeEvent } from "../api/types";
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
          {(e.from || e.to) && (
            <code className="from-to">{e.from || "–"} → {e.to || "–"}</code>
          )}
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

/** Where an event leads: its verdict, its test run, or its place on the timeline. */
export function eventHref(e: ChangeEvent): string {
  const p = e.properties ?? {};
  if (e.kind === "validation" && (p.validation || p.validationId)) return `/validations/${p.validation || p.validationId}`;
  if (e.kind === "test" && (p.runId || p.run)) return `/loadtests/${p.runId || p.run}`;
  return `/changes?id=${encodeURIComponent(e.id)}`;
}
