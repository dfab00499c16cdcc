import { Button } from "@mantine/core";
import { useState } from "react";
import { Link, useSearchParams } from "react-router";
import { useEvents, useServices } from "../api/queries";
import type { ChangeEvent } from "../api/types";
import { absolute, parseTime } from "../format/time";
import { ActDialog, type Act } from "../parts/ActDialog";
import { eventHref, EventLine } from "../parts/EventLine";
import { kinds, notable } from "../parts/kinds";
import { Answer, Empty, Page, Rows } from "../parts/Page";
import { ServiceLink } from "../parts/service";
import { undoAct } from "../parts/undo";

/** Everything that happened to the system, newest first. */
export default function ChangesPage() {
  const [params, setParams] = useSearchParams();
  const [act, setAct] = useState<Act | null>(null);
  const value = (k: string) => params.get(k) ?? "";
  const set = (k: string, v: string) =>
    setParams((p) => {
      const n = new URLSearchParams(p);
      if (v) n.set(k, v);
      else n.delete(k);
      if (k !== "before" && k !== "id") n.delete("before");
      return n;
    }, { replace: k !== "before" });
  const q = useEvents({ kind: value("kind"), type: value("type"), service: value("service"), environment: value("environment"), who: value("who"), key: value("key"), correlation: value("correlation"), from: value("from"), to: value("to"), before: value("before"), limit: 50 });
  const services = useServices().data?.services ?? [];
  const selected = value("id");
  const undone = new Set((q.data?.events ?? []).map((e) => e.undoOf));
  return (
    <Page title="Changes" lead="Deployments, flags, configuration, tests, verdicts and actions, on one line of time.">
      <div className="filters">
        <div className="segments" role="group" aria-label="Kind">
          <button type="button" aria-pressed={!value("kind")} onClick={() => set("kind", "")}>all</button>
          {Object.entries(kinds).map(([k, { glyph, word }]) => (
            <button key={k} type="button" aria-pressed={value("kind") === k} onClick={() => set("kind", k)}><span aria-hidden>{glyph}</span> {word}</button>
          ))}
        </div>
        <select className="filter" aria-label="Service" value={value("service")} onChange={(e) => set("service", e.currentTarget.value)}>
          <option value="">every service</option>
          {[...new Set([...services.map((s) => s.service), value("service")])].filter(Boolean).sort().map((s) => <option key={s}>{s}</option>)}
        </select>
        <input className="filter" placeholder="Person" aria-label="Person" defaultValue={value("who")} onBlur={(e) => set("who", e.currentTarget.value.trim())} onKeyDown={(e) => e.key === "Enter" && set("who", e.currentTarget.value.trim())} />
      </div>
      <Answer q={q} skeleton={<Rows n={10} height={48} />}>
        {({ events, next }) =>
          events?.length ? (
            <>
              {byDay(value("kind") || value("type") || value("correlation") || selected ? events : events.filter(notable)).map(([day, list]) => (
                <section key={day} className="day">
                  <h2>{day}</h2>
                  <ul className="list timeline">
                    {list.map((e) => (
                      <EventLine
                        key={e.id}
                        e={e}
                        actions={
                          <div className="event-actions">
                            {undone.has(e.id) && <span className="tag">undone</span>}
                            {e.undo && !e.undoOf && !undone.has(e.id) && <Button size="compact-xs" variant="default" onClick={() => setAct(undoAct(e))}>Undo</Button>}
                            <button type="button" className="link" aria-expanded={selected === e.id} onClick={() => set("id", selected === e.id ? "" : e.id)}>{selected === e.id ? "less" : "more"}</button>
                          </div>
                        }
                      />
                    )).flatMap((line, i) => (list[i]!.id === selected ? [line, <Details key="details" e={list[i]!} />] : [line]))}
                  </ul>
                </section>
              ))}
              <div className="buttons">
                {value("before") && <Button variant="default" size="xs" onClick={() => set("before", "")}>Newest</Button>}
                {next && <Button variant="default" size="xs" onClick={() => set("before", next)}>Older</Button>}
              </div>
            </>
          ) : (
            <Empty title="Nothing happened, or nobody said so" command={`tidegate event send --type deployment.finished --title "checkout 2.1" --service checkout --who "$USER"`} />
          )
        }
      </Answer>
      <ActDialog act={act} onClose={() => setAct(null)} />
    </Page>
  );
}

function byDay(events: ChangeEvent[]): [string, ChangeEvent[]][] {
  const out = new Map<string, ChangeEvent[]>();
  for (const e of events) {
    const day = new Date(parseTime(e.start)).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
    out.get(day)?.push(e) ?? out.set(day, [e]);
  }
  return [...out];
}

function Details({ e }: { e: ChangeEvent }) {
  const target = eventHref(e);
  return (
    <li className="event-details" data-testid="event-details">
      <dl className="pairs">
        <div><dt>id</dt><dd>{e.id}</dd></div>
        <div><dt>type</dt><dd>{e.type}</dd></div>
        <div><dt>when</dt><dd>{absolute(parseTime(e.start))}{e.end && !e.end.startsWith("0001") && ` – ${absolute(parseTime(e.end))}`}</dd></div>
        {e.source && <div><dt>reported by</dt><dd>{e.source}</dd></div>}
        {e.key && <div><dt>key</dt><dd>{e.key}</dd></div>}
        {e.selector && <div><dt>selector</dt><dd>{e.selector}</dd></div>}
        {!!e.entities?.length && <div><dt>matched</dt><dd>{e.entities.map((r, i) => <ServiceLink key={i} of={r} />)}</dd></div>}
        {e.correlation && <div><dt>belongs to</dt><dd><Link to={`/changes?correlation=${encodeURIComponent(e.correlation)}`}>{e.correlation}</Link></dd></div>}
        {e.undoOf && <div><dt>undo of</dt><dd><Link to={`/changes?id=${encodeURIComponent(e.undoOf)}`}>{e.undoOf}</Link></dd></div>}
        {Object.entries(e.properties ?? {}).map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}
      </dl>
      <div className="buttons">
        {!target.startsWith("/changes") && <Link to={target}>Open</Link>}
        {(e.links ?? []).filter((l) => /^https?:/i.test(l.url)).map((l) => <a key={l.url} href={l.url} rel="noreferrer noopener" target="_blank">{l.title || l.url}</a>)}
      </div>
    </li>
  );
}
