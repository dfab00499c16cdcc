import type { Look } from "./status";

/** Colour, shape and word of a state. */
export function Badge({ look, size = "md" }: { look: Look; size?: "sm" | "md" | "lg" }) {
  return (
    <span className={`badge badge-${size}`} data-tone={look.tone}>
      <span className="badge-glyph" aria-hidden>
        {look.glyph}
      </span>
      {look.word}
    </span>
  );
}
