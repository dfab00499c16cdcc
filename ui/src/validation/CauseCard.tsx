import { Button } from "@mantine/core";
import { Link } from "react-router";
import type { Candidate, ChangeEvent } from "../api/types";
import { percent } from "../format/number";
import { absolute, parseTime, seconds } from "../format/time";
import { FromTo } from "../parts/EventLine";
import { kindOf } from "../parts/kinds";
import { ServiceLink } from "../parts/service";
import { Ago } from "../parts/time";

interface Props {
  c: Candidate;
  /** What took it back; undefined while that is not known. */
  undone: ChangeEvent[] | undefined;
  firstFailure?: string;
  onUndo: (e: ChangeEvent) => void;
  quiet?: boolean;
}

/** A change that may be to blame: who, what, when, how long before, and its undo. */
export function CauseCard({ c, undone, firstFailure, onUndo, quiet }: Props) {
  const e = c.event;
  return (
    <article className="cause" data-quiet={quiet || undefined} data-testid={quiet ? "candidate" : "cause"}>
      <span className="event-glyph" aria-label={kindOf(e.kind).word} title={kindOf(e.kind).word}>{kindOf(e.kind).glyph}</span>
      <div className="cause-body">
        {!quiet && <div className="eyebrow">Most likely cause</div>}
        <div className="cause-title">
          <Link className="quiet" to={`/changes?id=${encodeURIComponent(e.id)}`}>{e.title}</Link>
          <FromTo e={e} />
        </div>
        <dl className="facts">
          <div><dt>who</dt><dd>{e.who || "nobody said"}</dd></div>
          <div><dt>when</dt><dd title={absolute(parseTime(e.start))}><Ago at={e.start} /></dd></div>
          {(c.on.service || e.service) && <div><dt>where</dt><dd><ServiceLink of={c.on.service ? c.on : e} /></dd></div>}
          <div>
            <dt>{c.secondsBeforeFirstFailure >= 0 ? "before the first failure" : "after the first failure"}</dt>
            <dd title={firstFailure && `First failure ${absolute(parseTime(firstFailure))}`}>{seconds(Math.abs(c.secondsBeforeFirstFailure))}</dd>
          </div>
          {e.reason && <div><dt>reason</dt><dd>“{e.reason}”</dd></div>}
        </dl>
        <p className="why">{c.why}{quiet && c.score > 0 && <span className="dim"> · score {percent(Math.min(c.score, 1))}</span>}</p>
      </div>
      <div className="cause-act">
        {undone === undefined ? null : undone.length > 0 ? (
          <span className="undone">↩ Undone <Ago at={undone[0]!.start} /> by {undone[0]!.who || "Tidegate"}</span>
        ) : e.undo ? (
          <Button color="red" variant={quiet ? "default" : "filled"} size="xs" onClick={() => onUndo(e)}>Undo this change</Button>
        ) : (
          <span className="dim">No undo known</span>
        )}
      </div>
    </article>
  );
}
