import { useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { useEffect, useState } from "react";
import { NavLink, Outlet, ScrollRestoration, useLocation } from "react-router";
import { useLive } from "../api/live";
import { useHealing, useStatus } from "../api/queries";
import { relative } from "../format/time";
import { useNow } from "../parts/time";
import { Help } from "./Help";
import { Search } from "./Search";
import { places } from "./places";
import { useShortcuts } from "./shortcuts";

/** The frame around every screen: navigation, search, whether it is live. */
export function Shell() {
  const [menu, setMenu] = useState(false);
  const [search, setSearch] = useState(false);
  const [help, setHelp] = useState(false);
  const { pathname } = useLocation();
  useShortcuts({ onSearch: () => setSearch(true), onHelp: () => setHelp(true) });
  useEffect(() => setMenu(false), [pathname]);

  return (
    <div className="shell" data-menu={menu || undefined}>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <header className="top">
        <button type="button" className="icon-button menu-button" aria-label="Menu" aria-expanded={menu} onClick={() => setMenu(!menu)}>
          <Icon d={menu ? "M6 6l12 12M18 6L6 18" : "M4 7h16M4 12h16M4 17h16"} />
        </button>
        <NavLink to="/" className="brand">
          <img src="/favicon.svg" alt="" width="22" height="22" />
          Tidegate
        </NavLink>
        <button type="button" className="search-button" onClick={() => setSearch(true)} aria-label="Search">
          <Icon d="M11 5a6 6 0 1 1 0 12 6 6 0 0 1 0-12M16 16l4 4" />
          <span>Search</span>
          <kbd>/</kbd>
        </button>
        <HealingMark />
        <LiveMark />
        <button type="button" className="icon-button" onClick={() => setHelp(true)} aria-label="Keyboard help">
          <Icon d="M9 9a3 3 0 1 1 4 2.8c-.8.4-1 1-1 2.2M12 17.5h.01" />
        </button>
        <SchemeSwitch />
      </header>
      <nav className="nav" aria-label="Screens">
        {places.map((p) => (
          <NavLink key={p.to} to={p.to} end={p.to === "/"} title={`g ${p.key}`}>
            <Icon d={p.icon} />
            {p.label}
          </NavLink>
        ))}
        <Version />
      </nav>
      {menu && <button type="button" className="nav-shade" aria-label="Close menu" onClick={() => setMenu(false)} />}
      <Outlet />
      <Search opened={search} onClose={() => setSearch(false)} />
      <Help opened={help} onClose={() => setHelp(false)} />
      <ScrollRestoration />
    </div>
  );
}

export function Icon({ d }: { d: string }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" width="18" height="18" aria-hidden>
      <path d={d} />
    </svg>
  );
}

/** Says that nothing is healed by itself, as long as that is so. */
function HealingMark() {
  const stop = useHealing().data?.stop;
  if (!stop?.stopped) return null;
  return (
    <NavLink to="/audit" className="live" data-state="lost" title={`by ${stop.who}: ${stop.reason}`}>
      <span aria-hidden>■</span> Healing is stopped
    </NavLink>
  );
}

function LiveMark() {
  const live = useLive();
  const now = useNow();
  const text = live.state === "live" ? "Live" : live.state === "connecting" ? "Connecting" : "Not live";
  const title =
    live.state === "live"
      ? "Changes appear here as they happen."
      : live.state === "connecting"
        ? "Opening the event stream."
        : `The event stream broke ${relative(live.since, now)}; trying again. What you see may be old.`;
  return (
    <span className="live" data-state={live.state} title={title} role="status">
      <span className="live-dot" aria-hidden />
      <span className="live-word">{text}</span>
    </span>
  );
}

function SchemeSwitch() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme("light");
  const next = scheme === "dark" ? "light" : "dark";
  return (
    <button type="button" className="icon-button" onClick={() => setColorScheme(next)} aria-label={`Use ${next} colours`}>
      <Icon d={scheme === "dark" ? "M12 4V2M12 22v-2M4 12H2M22 12h-2M6 6L5 5M19 19l-1-1M18 6l1-1M5 19l1-1M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8" : "M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10"} />
    </button>
  );
}

function Version() {
  const { data } = useStatus();
  return <div className="nav-version">{data ? data.version : "\u00a0"}</div>;
}
