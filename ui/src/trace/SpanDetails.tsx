import { Link } from "react-router";
import { useTraceLogs } from "../api/queries";
import type { LogRecord, Span } from "../api/types";
import { clock, millis, parseTime } from "../format/time";
import { Operation, ServiceLink } from "../parts/service";
import { Stack } from "../parts/Stack";
import type { Layout } from "./layout";

interface Props {
  layout: Layout;
  traceId: string;
  selected: string;
  onSelect: (spanId: string) => void;
  onClose: () => void;
}

/** Everything one span says, and what was logged during its trace. */
export function SpanDetails({ layout: l, traceId, selected, onSelect, onClose }: Props) {
  const row = l.rows.find((r) => r.span.spanId === selected);
  const logs = useTraceLogs(traceId);
  if (!row)
    return (
      <aside className="span-details" aria-label="Span">
        <p className="dim">Select a span, with the mouse or the arrow keys.</p>
        <TraceLogs logs={logs.data?.logs ?? []} onSelect={onSelect} />
      </aside>
    );
  const s = row.span;
  const parent = row.parent >= 0 ? l.rows[row.parent]!.span : undefined;
  const critical = (l.critical.get(row.index) ?? []).reduce((t, c) => t + c.to - c.from, 0);
  return (
    <aside className="span-details" aria-label="Span" data-testid="span-details">
      <div className="span-head">
        <h2><Operation name={s.name} /></h2>
        <button type="button" className="icon-button" aria-label="Close span" onClick={onClose}>✕</button>
      </div>
      <div className="span-sub"><ServiceLink of={s} /> <span className="tag">{s.kind}</span> {s.status === "error" && <span className="tag" data-tone="fail">✕ error</span>}</div>
      {s.statusMessage && <p className="mono span-message">{s.statusMessage}</p>}
      <dl className="facts">
        <div><dt>starts</dt><dd>+{millis(row.start)}</dd></div>
        <div><dt>takes</dt><dd>{millis(row.duration)}</dd></div>
        <div><dt>own time on critical path</dt><dd>{critical > 0 ? millis(critical) : "none"}</dd></div>
        <div><dt>span</dt><dd className="mono">{s.spanId}</dd></div>
        {parent && <div><dt>parent</dt><dd><button type="button" className="link" onClick={() => onSelect(parent.spanId)}>{parent.service} {parent.name}</button></dd></div>}
        {row.orphan && <div><dt>parent</dt><dd className="dim">{s.parentId} (missing)</dd></div>}
      </dl>
      <Events s={s} origin={l.origin} />
      <Attributes title="Attributes" of={s.attributes} open />
      <Attributes title="Resource" of={s.resource} />
      {!!s.links?.length && (
        <details open>
          <summary>Links</summary>
          <ul>{s.links.map((k) => <li key={k.traceId + k.spanId}><Link className="mono" to={`/traces/${k.traceId}?span=${k.spanId}`}>{k.traceId.slice(0, 16)}</Link></li>)}</ul>
        </details>
      )}
      {s.scope && <p className="dim">Recorded by {s.scope}</p>}
      <TraceLogs logs={logs.data?.logs ?? []} spanId={s.spanId} onSelect={onSelect} />
    </aside>
  );
}

const text = (v: unknown) => (typeof v === "string" ? v : JSON.stringify(v));

function Events({ s, origin }: { s: Span; origin: number }) {
  if (!s.events?.length) return null;
  return (
    <details open>
      <summary>Events ({s.events.length})</summary>
      {s.events.map((e, i) => {
        const a = e.attributes ?? {};
        const at = <span className="dim">+{millis(parseTime(e.time) - origin)}</span>;
        if (e.name === "exception")
          return (
            <div key={i} data-testid="exception">
              {at}
              <Stack exception={{ type: text(a["exception.type"] ?? ""), message: text(a["exception.message"] ?? ""), stacktrace: text(a["exception.stacktrace"] ?? "") }} />
            </div>
          );
        return (
          <div key={i} className="span-event">
            {at} <strong>{e.name}</strong>
            <Pairs of={a} />
          </div>
        );
      })}
    </details>
  );
}

function Attributes({ title, of, open }: { title: string; of?: Record<string, unknown> | null; open?: boolean }) {
  const n = Object.keys(of ?? {}).length;
  if (!n) return null;
  return (
    <details open={open}>
      <summary>{title} ({n})</summary>
      <Pairs of={of!} />
    </details>
  );
}

function Pairs({ of }: { of: Record<string, unknown> }) {
  return (
    <dl className="pairs">
      {Object.entries(of).sort(([a], [b]) => a.localeCompare(b)).map(([k, v]) => (
        <div key={k}><dt>{k}</dt><dd>{text(v)}</dd></div>
      ))}
    </dl>
  );
}

export function TraceLogs({ logs, spanId, onSelect }: { logs: LogRecord[]; spanId?: string; onSelect: (spanId: string) => void }) {
  if (!logs.length) return null;
  const ordered = [...logs].sort((a, b) => parseTime(a.time) - parseTime(b.time));
  return (
    <details open>
      <summary>Logs of the trace ({logs.length})</summary>
      <ul className="logs">
        {ordered.map((g, i) => (
          <li key={i} data-mine={(spanId && g.spanId === spanId) || undefined}>
            <button type="button" onClick={() => g.spanId && onSelect(g.spanId)} title={g.service}>
              <span className="dim">{clock(parseTime(g.time))}</span> <span className="severity" data-severity={g.severity}>{g.severity || "–"}</span> <span className="mono">{g.body}</span>
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
