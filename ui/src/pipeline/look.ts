import type { PipelineVerdict, Release } from "../api/types";
import type { Look } from "../status/status";

/** The look of a release, of one of its stages or of an action. */
export function releaseLook(state: string): Look {
  switch (state) {
    case "succeeded":
      return { tone: "pass", glyph: "✓", word: "Succeeded" };
    case "failed":
      return { tone: "fail", glyph: "✕", word: "Failed" };
    case "rejected":
      return { tone: "fail", glyph: "⊘", word: "Rejected" };
    case "rolledBack":
      return { tone: "fail", glyph: "↩", word: "Rolled back" };
    case "running":
      return { tone: "running", glyph: "…", word: "Running" };
    case "waiting":
      return { tone: "inconclusive", glyph: "◷", word: "Waiting" };
    case "superseded":
      return { tone: "info", glyph: "»", word: "Superseded" };
    case "skipped":
      return { tone: "info", glyph: "↷", word: "Skipped" };
    case "queued":
      return { tone: "info", glyph: "·", word: "Queued" };
    default:
      return { tone: "info", glyph: "·", word: "Not yet" };
  }
}

/** The look of a verdict on a build, or of one metric of it. */
export function buildLook(status: string | undefined): Look {
  switch (status) {
    case "ok":
      return { tone: "pass", glyph: "✓", word: "OK" };
    case "violation":
      return { tone: "fail", glyph: "✕", word: "Violation" };
    case "inconclusive":
      return { tone: "inconclusive", glyph: "?", word: "Inconclusive" };
    case "error":
      return { tone: "error", glyph: "⚠", word: "Error" };
    case "running":
      return { tone: "running", glyph: "…", word: "Being judged" };
    case "waiting":
      return { tone: "info", glyph: "◷", word: "Waiting" };
    default:
      return { tone: "info", glyph: "–", word: "Not judged" };
  }
}

const open = ["queued", "running", "waiting"];
export const underWay = (r: Pick<Release, "state">) => open.includes(r.state);

/** Whether the stage that the release ended in can be tried again. */
export const retriable = (r: Pick<Release, "state">) => ["failed", "rejected", "rolledBack"].includes(r.state);

/** What became of a release, in one sentence. */
export function sentence(r: Pick<Release, "state" | "waiting" | "error" | "revision" | "stages" | "stage" | "supersededBy">): string {
  const stage = r.stages?.[r.stage]?.name ?? "";
  const v = r.revision.version;
  switch (r.state) {
    case "succeeded":
      return `${v} went through every stage.`;
    case "failed":
    case "rejected":
    case "rolledBack":
      return `${v} was ${r.state === "failed" ? "stopped" : r.state === "rejected" ? "rejected" : "taken back"} in ${stage}${r.error ? `: ${r.error.replace(`${stage}: `, "")}` : "."}`;
    case "superseded":
      return `A newer release overtook ${v}${stage && ` before ${stage}`}.`;
    case "waiting":
      return r.waiting || `${v} waits in ${stage}.`;
    case "queued":
      return r.waiting || `${v} waits for its turn.`;
    default:
      return `${v} is in ${stage}.`;
  }
}

/** Where a verdict can be read: a guardian's validation, or the report of a comparison. */
export const verdictHref = (v: Pick<PipelineVerdict, "of" | "id" | "name">, pipeline: string) =>
  v.of === "guardian" ? `/validations/${encodeURIComponent(v.id)}` : reportHref(pipeline, v.name, v.id);

/** The build-validation report, with one build picked out. */
export function reportHref(pipeline: string, comparison: string, build?: string): string {
  const q = new URLSearchParams({ pipeline, comparison });
  if (build) q.set("build", build);
  return `/builds?${q}`;
}
