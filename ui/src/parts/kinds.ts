import type { ChangeKind } from "../api/types";

/** A glyph and a word for each kind of event. */
export const kinds: Record<ChangeKind, { glyph: string; word: string }> = {
  deployment: { glyph: "⬆", word: "Deployment" },
  flag: { glyph: "⚑", word: "Flag" },
  configuration: { glyph: "⚙", word: "Configuration" },
  test: { glyph: "▷", word: "Test" },
  validation: { glyph: "⚖", word: "Validation" },
  annotation: { glyph: "✎", word: "Note" },
  problem: { glyph: "✕", word: "Problem" },
  action: { glyph: "↩", word: "Action" },
};

/**
 * Whether an event is worth a line where it competes with others. That a
 * validation began, and each of its objectives, is told by the event that it
 * finished.
 */
export const notable = (e: { type: string }) => e.type !== "validation.objective" && e.type !== "validation.started";

/** Whether an event belongs on a chart: what can change the course of a line. */
export const onCharts = (e: { kind: string }) => ["deployment", "flag", "configuration", "annotation", "problem"].includes(e.kind);

export const kindOf = (k: string) => kinds[k as ChangeKind] ?? { glyph: "•", word: k };
