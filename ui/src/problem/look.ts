import type { HealingAction, Problem, ProblemCause } from "../api/types";
import { stateLook, type Look } from "../status/status";

const severities: Record<string, Look> = {
  availability: { tone: "fail", glyph: "⛔", word: "Availability" },
  error: { tone: "fail", glyph: "✕", word: "Errors" },
  slowdown: { tone: "warn", glyph: "◷", word: "Slow" },
  resource: { tone: "warn", glyph: "▤", word: "Resource" },
  custom: { tone: "inconclusive", glyph: "◆", word: "Alert" },
  info: { tone: "info", glyph: "i", word: "Info" },
};

export const severityNames = Object.keys(severities);

/** The look of how a problem hurts; one that is over is calm. */
export function problemLook(p: Pick<Problem, "severity" | "state">): Look {
  const look = severities[p.severity] ?? severities.custom!;
  return p.state === "closed" ? { tone: "pass", glyph: "✓", word: `${look.word}, over` } : look;
}

/** What is to blame, in two words. */
export function causeWord(c: ProblemCause | undefined): string {
  switch (c?.kind) {
    case undefined:
      return "being looked for";
    case "change":
      return "a change";
    case "dependency":
      return "something that is called";
    case "resource":
      return "a resource";
    case "traffic":
      return "more load than it takes";
    case "certificate":
      return "a certificate";
    case "fault":
      return "a fault, no change";
    default:
      return "not known";
  }
}

const outcomes: Record<string, Look> = {
  healed: { tone: "pass", glyph: "✓", word: "Healed" },
  unhealed: { tone: "fail", glyph: "✕", word: "Did not help" },
  failed: { tone: "fail", glyph: "✕", word: "Could not be done" },
  refused: { tone: "warn", glyph: "!", word: "Refused" },
  frozen: { tone: "warn", glyph: "❄", word: "Frozen" },
  rejected: { tone: "warn", glyph: "■", word: "Rejected" },
  expired: { tone: "warn", glyph: "◷", word: "Nobody approved" },
  obsolete: { tone: "info", glyph: "↷", word: "Not needed" },
  "dry-run": { tone: "info", glyph: "○", word: "Dry run" },
  paged: { tone: "inconclusive", glyph: "☎", word: "A person was told" },
};

/** The look of an action: how it ended, or what it is doing. */
export function actionLook(a: Pick<HealingAction, "state" | "outcome">): Look {
  if (a.outcome && outcomes[a.outcome]) return outcomes[a.outcome]!;
  if (a.state === "waiting") return { tone: "inconclusive", glyph: "?", word: "Waits for approval" };
  if (a.state === "verifying") return { tone: "running", glyph: "…", word: "Verifying" };
  return stateLook(a.state === "ended" ? "done" : "running");
}

/** The services along a cause's path, each once, callers first. */
export function pathServices(c: ProblemCause | undefined): string[] {
  const out: string[] = [];
  for (const h of c?.path ?? []) if (h.service && out.at(-1) !== h.service) out.push(h.service);
  if (c?.service && !out.includes(c.service)) out.push(c.service);
  return out;
}

/** Number of problems that last, worst first. */
export function open(problems: Problem[]): Problem[] {
  return problems.filter((p) => p.state === "open").sort((a, b) => severityNames.indexOf(a.severity) - severityNames.indexOf(b.severity));
}
