import { Link } from "react-router";
import type { Release } from "../api/types";
import { isZeroTime, parseTime, seconds } from "../format/time";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { releaseLook, sentence } from "./look";

/** One release in a list: how far it came, and why no further. */
export function ReleaseLine({ r, named }: { r: Release; named?: boolean }) {
  return (
    <li className="verdict-line" data-testid="release">
      <Badge look={releaseLook(r.state)} size="sm" />
      <div>
        <Link to={`/releases/${r.id}`}>{named && `${r.pipeline} `}#{r.number}</Link> <code>{r.revision.version}</code>
        <StageMarks r={r} />
        <div className="clamp">{sentence(r)}</div>
        <div className="dim event-meta">
          <span>{r.who}</span>
          <Ago at={r.created} />
          {!isZeroTime(r.finished) && <span>took {seconds((parseTime(r.finished) - parseTime(r.created)) / 1000)}</span>}
          {r.rerunOf && <span>again</span>}
        </div>
      </div>
    </li>
  );
}

/** The stages in their order, each with how it ended. */
export function StageMarks({ r }: { r: Release }) {
  return (
    <ol className="stage-marks" aria-label="Stages">
      {(r.stages ?? []).map((s) => {
        const look = releaseLook(s.state);
        return (
          <li key={s.name} data-tone={look.tone}>
            <span aria-hidden>{look.glyph}</span> {s.name}<span className="sr">: {look.word}</span>
          </li>
        );
      })}
    </ol>
  );
}
