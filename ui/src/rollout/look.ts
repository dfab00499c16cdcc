import type { RolloutRun } from "../api/types";
import type { Look } from "../status/status";

/** The look of a rollout's run: where it is, or how it ended. */
export function runLook(r: Pick<RolloutRun, "state" | "phase">): Look {
  switch (r.state) {
    case "promoted":
      return { tone: "pass", glyph: "✓", word: "Promoted" };
    case "aborted":
      return { tone: "fail", glyph: "↩", word: "Taken back" };
    case "failed":
      return { tone: "error", glyph: "⚠", word: "Stuck" };
  }
  if (r.phase === "hold") return { tone: "inconclusive", glyph: "?", word: "Holds" };
  if (r.phase === "pause") return { tone: "info", glyph: "◷", word: "Waits" };
  return { tone: "running", glyph: "…", word: r.phase === "judge" ? "Being judged" : "Moving" };
}

/** Whether a person can still decide something. */
export const undecided = (r: Pick<RolloutRun, "state" | "phase">) => r.state === "running" || r.phase === "keep";
