import type { MetricRow, Num } from "../api/types";
import { num, quantity } from "../format/number";

/** The values that a metric may have, in words. */
export function allowed(c: { lower: Num; upper: Num }, unit?: string): string {
  const lo = Number.isFinite(num(c.lower));
  const hi = Number.isFinite(num(c.upper));
  if (lo && hi) return `${quantity(c.lower, "value", unit)} to ${quantity(c.upper, "value", unit)}`;
  if (lo) return `≥ ${quantity(c.lower, "value", unit)}`;
  return hi ? `≤ ${quantity(c.upper, "value", unit)}` : "–";
}

/** A metric's name, told from others of the same name. */
export const rowName = (m: Pick<MetricRow, "name" | "aggregate" | "operation">) => `${m.name}${m.name.endsWith(m.aggregate) ? "" : ` ${m.aggregate}`}${m.operation ? ` ${m.operation}` : ""}`;
