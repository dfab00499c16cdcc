import { useEffect, useRef } from "react";
import { useNavigate } from "react-router";
import { places } from "./places";

const typing = (t: EventTarget | null) =>
  t instanceof HTMLElement && (t.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(t.tagName));

// What the arrows walk: the first link or button of each row of a list.
const rows = ".table tbody tr, .list > li, .trace-list > li, .cards > li, .flags > li";

/** Moves the focus by one row, from the row that has it, or to the first. */
function walk(step: 1 | -1): boolean {
  const stops = [...document.querySelectorAll(`#main :is(${rows})`)].flatMap((r) => r.querySelector<HTMLElement>("a, button") ?? []);
  if (!stops.length) return false;
  const row = document.activeElement?.closest(rows);
  const at = stops.findIndex((s) => s.closest(rows) === row);
  const next = stops[at < 0 ? 0 : Math.min(Math.max(at + step, 0), stops.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
  return true;
}

/** `/` search, `?` help, `g` then a letter goes to a screen, `j`, `k` and the arrows walk lists. */
export function useShortcuts({ onSearch, onHelp }: { onSearch: () => void; onHelp: () => void }) {
  const navigate = useNavigate();
  const on = useRef({ onSearch, onHelp });
  on.current = { onSearch, onHelp };
  useEffect(() => {
    let pending = 0; // when g was pressed
    const key = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target) || document.querySelector("[role=dialog]")) return;
      if (pending && e.timeStamp - pending < 1500) {
        pending = 0;
        const place = places.find((p) => p.key === e.key);
        if (place) {
          e.preventDefault();
          void navigate(place.to);
        }
        return;
      }
      if (e.key === "g") pending = e.timeStamp;
      else if (e.key === "/") {
        e.preventDefault();
        on.current.onSearch();
      } else if (e.key === "?") on.current.onHelp();
      else if ((e.key === "ArrowDown" || e.key === "ArrowUp") && !e.defaultPrevented && document.activeElement?.closest(rows)) {
        if (walk(e.key === "ArrowDown" ? 1 : -1)) e.preventDefault();
      } else if (e.key === "j" || e.key === "k") walk(e.key === "j" ? 1 : -1);
    };
    window.addEventListener("keydown", key);
    return () => window.removeEventListener("keydown", key);
  }, [navigate]);
}
