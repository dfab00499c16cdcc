import { expect, test } from "vitest";
import type { Span } from "../api/types";
import { layout, visible } from "./layout";

const at = (ms: number) => new Date(1_700_000_000_000 + ms).toISOString();
const span = (id: string, parent: string, from: number, to: number, extra: Partial<Span> = {}): Span => ({
  traceId: "t",
  spanId: id,
  parentId: parent || undefined,
  service: "s",
  name: id,
  kind: "server",
  start: at(from),
  duration: (to - from) * 1e6,
  status: "unset",
  ...extra,
});

test("parents come first, children by start", () => {
  const l = layout([span("c", "a", 50, 60), span("b", "a", 10, 40), span("d", "b", 20, 30), span("a", "", 0, 100)]);
  expect(l.rows.map((r) => [r.span.spanId, r.depth])).toEqual([["a", 0], ["b", 1], ["d", 2], ["c", 1]]);
  expect(l.rows[0]!.descendants).toBe(3);
  expect(l.duration).toBe(100);
});

test("the critical path covers the root's time exactly once", () => {
  const l = layout([
    span("a", "", 0, 100),
    span("b", "a", 10, 60),
    span("c", "a", 20, 90), // overlaps b and ends later: b holds nobody up
    span("d", "c", 30, 50),
  ]);
  const total = [...l.critical.values()].flat().reduce((s, x) => s + x.to - x.from, 0);
  expect(total).toBeCloseTo(100, 6);
  expect([...l.critical.keys()].map((i) => l.rows[i]!.span.spanId).sort()).toEqual(["a", "c", "d"]);
});

test("missing parents and cycles still show every span", () => {
  const l = layout([span("x", "gone", 5, 6), span("p", "q", 0, 1), span("q", "p", 0, 1)]);
  expect(l.rows).toHaveLength(3);
  expect(l.rows.find((r) => r.span.spanId === "x")!.orphan).toBe(true);
});

test("errors below are counted and folding hides descendants", () => {
  const l = layout([span("a", "", 0, 9), span("b", "a", 1, 8), span("c", "b", 2, 7, { status: "error" })]);
  expect(l.rows[0]!.errorsBelow).toBe(1);
  expect(visible(l.rows, new Set([1]))).toEqual([0, 1]);
});

test("a chain of 20,000 spans does not overflow the stack", () => {
  const n = 20_000;
  const l = layout(Array.from({ length: n }, (_, i) => span(`s${i}`, i ? `s${i - 1}` : "", 0, n - i)));
  expect(l.rows.at(-1)!.depth).toBe(n - 1);
});
