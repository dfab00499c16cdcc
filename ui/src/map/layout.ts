import type { GraphEdge, GraphNode } from "../api/types";

export interface Place {
  node: GraphNode;
  layer: number;
  x: number;
  y: number;
}
export interface Drawn {
  places: Map<string, Place>;
  width: number;
  height: number;
  /** Edges that point back, drawn as loops. */
  back: Set<GraphEdge>;
}

export const box = { width: 168, height: 56, gapX: 76, gapY: 26 };

/** A service that is called, or calls, but sends no spans of its own. */
const stranger = (service: string): GraphNode => ({
  service,
  requestsPerSecond: null,
  errorRatio: null,
  p50: null,
  p95: null,
  health: "unknown",
  versions: null,
  series: { t: null, rate: null, errors: null, p50: null, p95: null },
});

/**
 * Layers from callers (left) to callees: the longest path decides the layer,
 * the mean position of the neighbours the order within it. Cycles are broken
 * at the edge that closes them.
 */
export function place(nodes: GraphNode[], edges: GraphEdge[]): Drawn {
  const known = new Map(nodes.map((n) => [n.service, n]));
  for (const e of edges)
    for (const s of [e.client, e.server])
      if (!known.has(s)) known.set(s, stranger(s));
  const names = [...known.keys()].sort();
  const out = new Map<string, GraphEdge[]>(names.map((n) => [n, []]));
  for (const e of edges) if (e.client !== e.server) out.get(e.client)!.push(e);

  const back = new Set<GraphEdge>(edges.filter((e) => e.client === e.server));
  const state = new Map<string, 1 | 2>();
  const order: string[] = [];
  const called = new Set(edges.filter((e) => e.client !== e.server).map((e) => e.server));
  const visit = (start: string) => {
    const stack: { name: string; next: number }[] = [{ name: start, next: 0 }];
    if (state.has(start)) return;
    state.set(start, 1);
    while (stack.length) {
      const top = stack.at(-1)!;
      const e = out.get(top.name)![top.next++];
      if (!e) {
        state.set(top.name, 2);
        order.push(top.name);
        stack.pop();
      } else if (state.get(e.server) === 1) back.add(e);
      else if (!state.has(e.server)) {
        state.set(e.server, 1);
        stack.push({ name: e.server, next: 0 });
      }
    }
  };
  names.filter((n) => !called.has(n)).forEach(visit);
  names.forEach(visit);

  const layer = new Map<string, number>(names.map((n) => [n, 0]));
  for (const n of order.reverse())
    for (const e of out.get(n)!) if (!back.has(e)) layer.set(e.server, Math.max(layer.get(e.server)!, layer.get(n)! + 1));

  const layers: string[][] = [];
  for (const n of names) (layers[layer.get(n)!] ??= []).push(n);
  const index = new Map<string, number>();
  const number = () => layers.forEach((l) => l.forEach((n, i) => index.set(n, i - (l.length - 1) / 2)));
  number();
  const forward = edges.filter((e) => !back.has(e));
  for (let sweep = 0; sweep < 6; sweep++) {
    const down = sweep % 2 === 0;
    for (const l of down ? layers : [...layers].reverse()) {
      const mean = (n: string) => {
        const near = forward.filter((e) => (down ? e.server : e.client) === n).map((e) => index.get(down ? e.client : e.server)!);
        return near.length ? near.reduce((a, b) => a + b, 0) / near.length : index.get(n)!;
      };
      const means = new Map(l.map((n) => [n, mean(n)]));
      l.sort((a, b) => means.get(a)! - means.get(b)! || a.localeCompare(b));
      l.forEach((n, i) => index.set(n, i - (l.length - 1) / 2));
    }
  }

  const most = Math.max(...layers.map((l) => l.length), 1);
  const places = new Map<string, Place>();
  layers.forEach((l, depth) =>
    l.forEach((n) => {
      const y = (index.get(n)! + (most - 1) / 2) * (box.height + box.gapY);
      places.set(n, { node: known.get(n)!, layer: depth, x: depth * (box.width + box.gapX), y });
    }),
  );
  return { places, width: layers.length * (box.width + box.gapX) - box.gapX, height: most * (box.height + box.gapY) - box.gapY, back };
}
