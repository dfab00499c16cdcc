import { expect, test } from "vitest";
import type { GraphEdge, GraphNode } from "../api/types";
import { box, place } from "./layout";

const node = (service: string): GraphNode => ({
  service,
  requestsPerSecond: 1,
  errorRatio: 0,
  p50: null,
  p95: null,
  health: "ok",
  versions: null,
  series: { t: null, rate: null, errors: null, p50: null, p95: null },
});
const edge = (client: string, server: string): GraphEdge => ({ client, server, requestsPerSecond: 1, errorRatio: 0, p95: null });

test("callers stand left of what they call, by the longest path", () => {
  const d = place(["a", "b", "c"].map(node), [edge("a", "b"), edge("b", "c"), edge("a", "c")]);
  expect(["a", "b", "c"].map((n) => d.places.get(n)!.layer)).toEqual([0, 1, 2]);
  expect(d.back.size).toBe(0);
});

test("cycles and self-calls are drawn as loops, not followed", () => {
  const d = place(["a", "b"].map(node), [edge("a", "b"), edge("b", "a"), edge("a", "a")]);
  expect(d.back.size).toBe(2);
  expect(d.places.get("b")!.layer).toBe(1);
});

test("no two boxes overlap, and unknown ends of edges appear", () => {
  const d = place(["a"].map(node), ["x", "y", "z"].map((s) => edge("a", s)));
  const all = [...d.places.values()];
  expect(all).toHaveLength(4);
  for (const p of all)
    for (const q of all)
      if (p !== q) expect(Math.abs(p.x - q.x) >= box.width || Math.abs(p.y - q.y) >= box.height).toBe(true);
  for (const p of all) expect(p.x >= 0 && p.y >= 0 && p.x + box.width <= d.width && p.y + box.height <= d.height).toBe(true);
});
