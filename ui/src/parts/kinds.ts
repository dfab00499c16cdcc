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

export const kindOf = (k: string) => kinds[k as ChangeKind] ?? { glyph: "•", word: k };
