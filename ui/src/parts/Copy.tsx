import { useState } from "react";

/** A command with a button that copies it. */
export function Copy({ text }: { text: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    } catch {
      setDone(false); // no clipboard without https: the text can be selected
    }
  };
  return (
    <div className="copy">
      <code>{text}</code>
      <button type="button" onClick={() => void copy()} aria-label={`Copy: ${text}`}>
        {done ? "Copied" : "Copy"}
      </button>
    </div>
  );
}
