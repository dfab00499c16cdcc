import { absolute } from "../format/time";
import { spans, type Span, type useRange } from "./range";

/** Chooses the window; a brushed one shows what it is and how to leave it. */
export function RangePicker({ r }: { r: ReturnType<typeof useRange> }) {
  return (
    <div className="segments" role="group" aria-label="Time range">
      {(Object.keys(spans) as Span[]).map((s) => (
        <button key={s} type="button" aria-pressed={!r.fixed && s === r.span} onClick={() => r.setSpan(s)}>
          {s}
        </button>
      ))}
      {r.fixed && (
        <button type="button" aria-pressed title={`${absolute(r.range.from! * 1000)} – ${absolute(r.range.to! * 1000)}`} onClick={() => r.setSpan("15m")}>
          zoomed ✕
        </button>
      )}
    </div>
  );
}
