import { useEffect, useRef } from "react";
import { useNavigate } from "react-router";
import { places } from "./places";

const typing = (t: EventTarget | null) =>
  t instanceof HTMLElement && (t.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(t.tagName));

/** `/` search, `?` help, `g` then a letter goes to a screen. */
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
    };
    window.addEventListener("keydown", key);
    return () => window.removeEventListener("keydown", key);
  }, [navigate]);
}
