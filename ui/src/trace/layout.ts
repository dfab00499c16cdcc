import type { Span } from "../api/types";
import { parseTime } from "../format/time";

/** One line of the waterfall. Offsets and durations are milliseconds. */
export interface Row {
  span: Span;
  index: number;
  depth: number;
  start: number;
  duration: number;
  /** Index of the parent's row, -1 for a root. */
  parent: number;
  /** How many rows below this one belong to it. */
  descendants: number;
  /** Failed spans among the descendants. */
  errorsBelow: number;
  orphan: boolean;
}

export interface Segment {
  from: number;
  to: number;
}

export interface Layout {
  rows: Row[];
  /** Milliseconds since 1970 at which the trace starts. */
  origin: number;
  duration: number;
  /** For each row on the critical path, the pieces of time that are its own. */
  critical: Map<number, Segment[]>;
  services: string[];
}

/**
 * Orders spans parents first, children by start, and finds the critical path.
 * Missing parents make their children roots; cycles are broken. Iterative
 * throughout: a trace may be 20,000 spans deep.
 */
export function layout(spans: Span[]): Layout {
  const starts = spans.map((s) => parseTime(s.start));
  const origin = starts.reduce((a, b) => Math.min(a, b), Infinity);
  const byId = new Map<string, number>();
  spans.forEach((s, i) => byId.has(s.spanId) || byId.set(s.spanId, i));

  const children = new Map<number, number[]>();
  const roots: number[] = [];
  spans.forEach((s, i) => {
    const p = s.parentId ? byId.get(s.parentId) : undefined;
    if (p === undefined || p === i) roots.push(i);
    else children.get(p)?.push(i) ?? children.set(p, [i]);
  });
  const byStart = (a: number, b: number) => starts[a]! - starts[b]!;
  roots.sort(byStart);
  for (const c of children.values()) c.sort(byStart);

  const rows: Row[] = [];
  const rowOf = new Map<number, number>();
  const place = (top: number) => {
    const stack: [span: number, depth: number, parent: number][] = [[top, 0, -1]];
    while (stack.length) {
      const [i, depth, parent] = stack.pop()!;
      if (rowOf.has(i)) continue;
      const s = spans[i]!;
      rowOf.set(i, rows.length);
      rows.push({
        span: s,
        index: rows.length,
        depth,
        start: starts[i]! - origin,
        duration: s.duration / 1e6,
        parent,
        descendants: 0,
        errorsBelow: 0,
        orphan: parent < 0 && !!s.parentId,
      });
      const mine = rows.length - 1;
      const kids = children.get(i) ?? [];
      for (let k = kids.length - 1; k >= 0; k--) stack.push([kids[k]!, depth + 1, mine]);
    }
  };
  roots.forEach(place);
  spans.forEach((_, i) => rowOf.has(i) || place(i)); // cycles of parents

  for (let r = rows.length - 1; r >= 0; r--) {
    const row = rows[r]!;
    if (row.parent < 0) continue;
    const up = rows[row.parent]!;
    up.descendants += row.descendants + 1;
    up.errorsBelow += row.errorsBelow + (row.span.status === "error" ? 1 : 0);
  }
  const duration = rows.reduce((m, r) => Math.max(m, r.start + r.duration), 0);
  const services = [...new Set(rows.map((r) => r.span.service ?? ""))];
  return { rows, origin, duration, critical: criticalPath(rows), services };
}

/**
 * The critical path: walking back from the end of the first root, at every
 * moment the child that finished last holds up its parent; time that no child
 * covers is the span's own.
 */
export function criticalPath(rows: Row[]): Map<number, Segment[]> {
  const own = new Map<number, Segment[]>();
  if (!rows.length) return own;
  const children = new Map<number, number[]>();
  for (const r of rows) if (r.parent >= 0) children.get(r.parent)?.push(r.index) ?? children.set(r.parent, [r.index]);
  for (const c of children.values()) c.sort((a, b) => rows[b]!.start + rows[b]!.duration - rows[a]!.start - rows[a]!.duration);

  const add = (r: number, from: number, to: number) => {
    if (to - from <= 1e-9) return;
    own.get(r)?.push({ from, to }) ?? own.set(r, [{ from, to }]);
  };
  const root = rows[0]!;
  const stack: { row: number; until: number }[] = [{ row: 0, until: root.start + root.duration }];
  while (stack.length) {
    const { row, until } = stack.pop()!;
    const r = rows[row]!;
    let cursor = Math.min(until, r.start + r.duration);
    if (!own.has(row)) own.set(row, []);
    for (const c of children.get(row) ?? []) {
      const k = rows[c]!;
      const end = k.start + k.duration;
      // A child that goes on after its parent (asynchronous) or that lies
      // under a later one holds nobody up.
      if (end > cursor + 1e-9 || k.start < r.start - 1e-9) continue;
      add(row, end, cursor);
      stack.push({ row: c, until: end });
      cursor = k.start;
    }
    add(row, r.start, cursor);
  }
  return own;
}

/** Row indexes that are visible when the rows in collapsed are folded. */
export function visible(rows: Row[], collapsed: ReadonlySet<number>): number[] {
  const out: number[] = [];
  for (let i = 0; i < rows.length; ) {
    out.push(i);
    i += collapsed.has(i) ? rows[i]!.descendants + 1 : 1;
  }
  return out;
}
