import { useMemo } from "react";
import { useSearchParams } from "react-router";
import type { Range } from "../api/queries";
import { useNow } from "./time";

/** Windows to choose from, in seconds. */
export const spans = { "5m": 300, "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400 } as const;
export type Span = keyof typeof spans;

/**
 * The time range of a view, kept in its URL: ?range=1h moves along,
 * ?from=&to= (unix seconds) stands still.
 */
export function useRange(): {
  range: Range;
  span: Span;
  fixed: boolean;
  setSpan: (s: Span) => void;
  setFixed: (from: number, to: number) => void;
} {
  const [params, setParams] = useSearchParams();
  const from = Number(params.get("from"));
  const to = Number(params.get("to"));
  const fixed = from > 0 && to > from;
  const asked = params.get("range");
  const span: Span = asked && asked in spans ? (asked as Span) : "15m";
  // Moving windows step every ten seconds, so that the address of a query,
  // which is its cache key, does not change with every tick.
  const step = Math.floor(useNow() / 10_000) * 10;
  const range = useMemo<Range>(
    () => (fixed ? { from, to } : span === "15m" ? {} : { from: step - spans[span] }),
    [fixed, from, to, span, span === "15m" || fixed ? 0 : step],
  );
  const change = (f: (p: URLSearchParams) => void) =>
    setParams(
      (p) => {
        const n = new URLSearchParams(p);
        f(n);
        return n;
      },
      { replace: true },
    );
  return {
    range,
    span,
    fixed,
    setSpan: (s) =>
      change((p) => {
        p.delete("from");
        p.delete("to");
        if (s === "15m") p.delete("range");
        else p.set("range", s);
      }),
    setFixed: (a, b) =>
      change((p) => {
        p.set("from", String(Math.floor(a)));
        p.set("to", String(Math.ceil(b)));
        p.delete("range");
      }),
  };
}

/** One parameter of the address, "" when absent. */
export function useParam(name: string): [string, (v: string) => void] {
  const [params, setParams] = useSearchParams();
  return [
    params.get(name) ?? "",
    (v) =>
      setParams(
        (p) => {
          const n = new URLSearchParams(p);
          if (v) n.set(name, v);
          else n.delete(name);
          return n;
        },
        { replace: true },
      ),
  ];
}
