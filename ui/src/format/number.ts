import type { Num } from "../api/types";
import { seconds } from "./time";

/** The number itself; NaN for none, infinities as such. */
export function num(n: Num): number {
  if (n === null || n === undefined) return NaN;
  if (n === "+Inf") return Infinity;
  if (n === "-Inf") return -Infinity;
  return Number(n);
}

/** Three significant figures, thousands grouped, large numbers as 12.3 k / 4.5 M. */
export function count(x: number | null | undefined): string {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "-∞";
  const a = Math.abs(x);
  if (a >= 1e9) return `${short(x / 1e9)} G`;
  if (a >= 1e6) return `${short(x / 1e6)} M`;
  if (a >= 1e5) return `${short(x / 1e3)} k`;
  if (a >= 1000) return Math.round(x).toLocaleString("en-US").replaceAll(",", "\u202f");
  return short(x);
}

function short(x: number): string {
  return String(Number(x.toPrecision(3)));
}

/** A ratio in [0, 1] as percent: "0 %", "0.12 %", "49.6 %". */
export function percent(r: number | null | undefined): string {
  if (r === null || r === undefined || Number.isNaN(r)) return "–";
  if (!Number.isFinite(r)) return r > 0 ? "∞" : "-∞";
  const p = r * 100;
  if (p === 0) return "0 %";
  if (Math.abs(p) < 0.01) return p < 0 ? "> -0.01 %" : "< 0.01 %";
  return `${Number(p.toPrecision(3))} %`;
}

export const perSecond = (r: number | null | undefined) =>
  r === null || r === undefined || Number.isNaN(r) ? "–" : `${count(r)}/s`;

/** A value of an indicator in its own unit. */
export function quantity(n: Num, kind: string, unit?: string): string {
  const x = num(n);
  if (Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "-∞";
  if (kind === "ratio") return percent(x);
  if (kind === "rate") return perSecond(x);
  if (unit === "s" || unit === "seconds" || (kind === "distribution" && !unit)) return seconds(x);
  if (unit === "%") return `${count(x)} %`;
  if (unit === "ratio") return percent(x);
  if (unit?.startsWith("/")) return count(x) + unit;
  return unit ? `${count(x)} ${unit}` : count(x);
}
