// Instants and durations in words. Instants are RFC 3339 strings from the
// server; arithmetic is in milliseconds with a fraction, because spans are
// shorter than a millisecond and Date.parse drops what is finer.

/** Parses RFC 3339 to milliseconds since 1970, keeping micro- and nanoseconds. NaN if it is none. */
export function parseTime(s: string | undefined | null): number {
  if (!s) return NaN;
  const m = /^(.*:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/i.exec(s);
  if (!m) return Date.parse(s);
  return Date.parse(m[1]! + m[3]!) + (m[2] ? Number(m[2]) * 1000 : 0);
}

/** True for the zero time that Go writes for "not yet". */
export const isZeroTime = (s: string | undefined | null) => !s || s.startsWith("0001-");

/** "just now", "41 s ago", "3 min ago", "2 h ago", "5 d ago"; the future as "in …". */
export function relative(ms: number, now: number): string {
  if (!Number.isFinite(ms)) return "–";
  const d = Math.round((now - ms) / 1000);
  if (Math.abs(d) < 3) return "just now";
  const span = coarse(Math.abs(d));
  return d < 0 ? `in ${span}` : `${span} ago`;
}

/** Seconds as one unit: "41 s", "3 min", "2 h", "5 d". */
export function coarse(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** A duration given in seconds with three figures and its unit: "412 µs", "18.2 ms", "1.35 s", "2 min 5 s". */
export function seconds(s: number | null | undefined): string {
  if (s === null || s === undefined || !Number.isFinite(s)) return "–";
  const a = Math.abs(s);
  if (a === 0) return "0 s";
  if (a < 1e-6) return `${trim(s * 1e9)} ns`;
  if (a < 1e-3) return `${trim(s * 1e6)} µs`;
  if (a < 0.9995) return `${trim(s * 1e3)} ms`;
  if (a < 60) return `${trim(s)} s`;
  const whole = Math.round(a);
  const parts: [number, string][] = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor((whole % 86400) / 3600), "h"],
    [Math.floor((whole % 3600) / 60), "min"],
    [whole % 60, "s"],
  ];
  const text = parts.filter(([n]) => n > 0).slice(0, 2).map(([n, u]) => `${n} ${u}`).join(" ");
  return s < 0 ? `-${text}` : text;
}

export const nanos = (ns: number | null | undefined) => seconds(ns === null || ns === undefined ? null : ns / 1e9);
export const millis = (ms: number) => seconds(ms / 1e3);

function trim(x: number): string {
  const p = Number(x.toPrecision(3));
  return Math.abs(p) >= 1000 ? p.toFixed(0) : String(p);
}

/** "21 Nov 2026, 02:06:13" in the reader's own time zone. */
export function absolute(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  return new Date(ms).toLocaleString("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
  });
}

/** "02:06:13". */
export function clock(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  return new Date(ms).toLocaleTimeString("en-GB");
}
