import { useSyncExternalStore } from "react";
import { absolute, isZeroTime, parseTime, relative } from "../format/time";

// One clock for the whole page: relative times all step together.
let now = Date.now();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(f: () => void) {
  listeners.add(f);
  timer ??= setInterval(() => {
    now = Date.now();
    listeners.forEach((l) => l());
  }, 1000);
  return () => {
    listeners.delete(f);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The current time in ms, stepping once a second. */
export const useNow = () => useSyncExternalStore(subscribe, () => now);

/** A moment: relative in the text, absolute on hover. */
export function Ago({ at }: { at: string | undefined | null }) {
  const n = useNow();
  if (isZeroTime(at)) return <span className="dim">–</span>;
  const ms = parseTime(at);
  return (
    <time className="ago" dateTime={at!} title={absolute(ms)}>
      {relative(ms, Math.max(n, Date.now()))}
    </time>
  );
}
