import type { Status } from "../api/types";

/** How a state looks and reads. Never colour alone: tone, glyph and word. */
export interface Look {
  tone: "pass" | "warn" | "fail" | "inconclusive" | "learning" | "info" | "error" | "running";
  glyph: string;
  word: string;
}

const looks: Record<Status, Look> = {
  pass: { tone: "pass", glyph: "✓", word: "Pass" },
  warn: { tone: "warn", glyph: "!", word: "Warning" },
  fail: { tone: "fail", glyph: "✕", word: "Fail" },
  inconclusive: { tone: "inconclusive", glyph: "?", word: "Inconclusive" },
  learning: { tone: "learning", glyph: "↻", word: "Learning" },
  info: { tone: "info", glyph: "i", word: "Info" },
  error: { tone: "error", glyph: "⚠", word: "Error" },
};

export const statuses = Object.keys(looks) as Status[];

const running: Look = { tone: "running", glyph: "…", word: "Running" };
const waiting: Look = { tone: "info", glyph: "·", word: "Waiting" };

/** The look of a validation's or an objective's status. */
export function statusLook(s: string | undefined, state?: string): Look {
  if (s && s in looks) return looks[s as Status];
  if (state === "pending") return waiting;
  if (state === "running") return running;
  return { tone: "info", glyph: "–", word: "None" };
}

export function healthLook(h: string): Look {
  switch (h) {
    case "ok":
      return { tone: "pass", glyph: "✓", word: "Healthy" };
    case "degraded":
      return { tone: "warn", glyph: "!", word: "Degraded" };
    case "failing":
      return { tone: "fail", glyph: "✕", word: "Failing" };
    default:
      return { tone: "info", glyph: "?", word: "Unknown" };
  }
}

/** Worst first: what a person has to see before the rest. */
export function severity(s: string): number {
  const at = ["fail", "error", "warn", "inconclusive", "pass", "learning", "info"].indexOf(s);
  return at < 0 ? 99 : at;
}

/** The look of a step, a workflow run or a load test run. */
export function stateLook(s: string): Look {
  switch (s) {
    case "done":
    case "finished":
      return { tone: "pass", glyph: "✓", word: s === "done" ? "Done" : "Finished" };
    case "failed":
      return { tone: "fail", glyph: "✕", word: "Failed" };
    case "running":
      return running;
    case "skipped":
      return { tone: "info", glyph: "↷", word: "Skipped" };
    case "cancelled":
      return { tone: "warn", glyph: "■", word: "Cancelled" };
    case "lost":
      return { tone: "error", glyph: "⚠", word: "Lost" };
    default:
      return waiting;
  }
}
