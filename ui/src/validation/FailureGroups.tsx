import { Link } from "react-router";
import type { Exemplar, FailureGroup } from "../api/types";
import { count, percent } from "../format/number";
import { nanos } from "../format/time";
import { Operation, ServiceDot } from "../parts/service";
import { Stack } from "../parts/Stack";
import { Ago } from "../parts/time";

/** Failed requests by where they began, largest first. */
export function FailureGroups({ groups }: { groups: FailureGroup[] }) {
  return (
    <div className="groups">
      {groups.map((g, i) => <Group key={g.signature || i} g={g} open={i === 0} />)}
    </div>
  );
}

function Group({ g, open }: { g: FailureGroup; open: boolean }) {
  const best = g.exemplars?.find((x) => x.frames?.length || x.exception?.stacktrace) ?? g.exemplars?.[0];
  return (
    <article className="card group" data-testid="failure-group">
      <div className="group-head">
        <strong className="group-share" title={`${count(g.count)} failing requests`}>{percent(g.share)}</strong>
        <div className="group-what">
          <h3>
            <Operation name={g.exceptionType || "Error"} /> in {g.service} / <Operation name={g.operation} />
          </h3>
          {g.message && <p className="mono">{g.message}</p>}
          <p className="dim">
            of the failures explained · {count(g.count)} requests · first <Ago at={g.firstSeen} /> · last <Ago at={g.lastSeen} /> ·{" "}
            {g.seenBefore ? "seen in the baseline too" : <span className="tag" data-tone="fail">new, not in the baseline</span>}
          </p>
        </div>
      </div>
      <Path g={g} />
      {g.note && <p className="note">{g.note}</p>}
      {best && (
        <details open={open} className="stack-details">
          <summary>Stack trace{g.stackTop && <> · thrown in <code>{g.stackTop.function}</code>{g.stackTop.file && <> ({g.stackTop.file}{g.stackTop.line ? `:${g.stackTop.line}` : ""})</>}</>}</summary>
          <Stack exception={best.exception ?? { type: g.exceptionType ?? "", message: g.message ?? "" }} frames={best.frames} />
        </details>
      )}
      <Exemplars list={g.exemplars ?? []} />
    </article>
  );
}

/** The chain of calls from the entry to the span that failed. */
function Path({ g }: { g: FailureGroup }) {
  const path = g.path ?? [];
  if (!path.length) return null;
  return (
    <ol className="path" aria-label="Failing path, entry first" data-testid="path">
      {path.map((h, i) => (
        <li key={i} data-origin={i === path.length - 1 || undefined}>
          <div className="hop">
            <span className="hop-service"><ServiceDot name={h.service} />{h.service}</span>
            <span className="hop-op"><Operation name={h.operation} /></span>
            <span className="hop-kind dim">{i === path.length - 1 ? "✕ fails here" : (h.kind ?? "")}</span>
          </div>
        </li>
      ))}
    </ol>
  );
}

export function Exemplars({ list }: { list: Exemplar[] }) {
  if (!list.length) return null;
  return (
    <ul className="exemplars" aria-label="Example traces">
      {list.map((x) => (
        <li key={x.traceId + x.spanId}>
          <Link to={`/traces/${x.traceId}?span=${x.spanId}`}>
            <span className="mono">{x.traceId.slice(0, 8)}</span> {nanos(x.duration)}
          </Link>
          <span className="dim"> <Ago at={x.time} /></span>
        </li>
      ))}
    </ul>
  );
}
