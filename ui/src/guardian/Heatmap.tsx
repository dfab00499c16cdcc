import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from "react";
import { Link, useNavigate } from "react-router";
import type { Objective, Result, Validation } from "../api/types";
import { count, num, quantity } from "../format/number";
import { Badge } from "../status/Badge";
import { statuses, statusLook } from "../status/status";
import { Ago } from "../parts/time";

interface Props {
  objectives: Objective[];
  /** Newest first, as the API lists them. */
  validations: Validation[];
  selected: string;
  onSelect: (objective: string) => void;
}

const overall = "";

/** Objectives × validations, newest right, the verdict as a whole on top. */
export function Heatmap({ objectives, validations, selected, onSelect }: Props) {
  const columns = useMemo(() => [...validations].reverse(), [validations]);
  const rows = useMemo(() => {
    const names = new Set(objectives.map((o) => o.name));
    for (const v of validations) for (const r of v.verdict?.results ?? []) names.add(r.name);
    return [overall, ...names];
  }, [objectives, validations]);
  const [at, setAt] = useState<{ row: number; id: string } | null>(null);
  const grid = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();

  const col = at ? columns.findIndex((v) => v.id === at.id) : -1;
  const active = col >= 0 ? { row: at!.row, col } : { row: 0, col: columns.length - 1 };

  const newest = columns.at(-1)?.id;
  useEffect(() => {
    const g = grid.current;
    if (g) g.scrollLeft = g.scrollWidth;
  }, [newest]);

  const key = (e: KeyboardEvent) => {
    const move: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -1e6], End: [0, 1e6] };
    const d = move[e.key];
    const v = columns[active.col];
    if (e.key === "Enter" && v) {
      e.preventDefault();
      void navigate(`/validations/${v.id}`);
      return;
    }
    if (!d) return;
    e.preventDefault();
    const row = Math.min(Math.max(active.row + d[0], 0), rows.length - 1);
    const c = Math.min(Math.max(active.col + d[1], 0), columns.length - 1);
    setAt({ row, id: columns[c]!.id });
    grid.current?.querySelector<HTMLElement>(`[data-cell="${row}-${c}"]`)?.focus();
  };

  const shown = columns[active.col];
  return (
    <div className="heat">
      <div className="heat-scroll" ref={grid} data-roomy={columns.length <= 16 || undefined} role="grid" aria-label="Objectives by validation, newest right" aria-rowcount={rows.length} aria-colcount={columns.length} onKeyDown={key}>
        {rows.map((name, r) => (
          <div className="heat-row" role="row" key={name} data-overall={name === overall || undefined}>
            <div className="heat-label" role="rowheader">
              {name === overall ? (
                <strong>Verdict</strong>
              ) : (
                <button type="button" aria-pressed={selected === name} onClick={() => onSelect(selected === name ? "" : name)} title={`Draw ${name} over time`}>
                  {name}
                </button>
              )}
            </div>
            {columns.map((v, c) => (
              <Cell key={v.id} v={v} name={name} place={`${r}-${c}`} tabbable={active.row === r && active.col === c} lit={active.col === c} onEnter={() => setAt({ row: r, id: v.id })} />
            ))}
          </div>
        ))}
        <div className="heat-row heat-numbers" aria-hidden>
          <div className="heat-label" />
          {columns.map((v, c) => (
            <span key={v.id} data-lit={active.col === c || undefined}>
              {v.pinned ? "★" : c === columns.length - 1 || v.number % 5 === 0 || active.col === c ? v.number : ""}
            </span>
          ))}
        </div>
      </div>
      {shown && <Detail v={shown} name={rows[active.row] ?? overall} />}
      <Legend />
    </div>
  );
}

const resultOf = (v: Validation, name: string): Result | undefined => v.verdict?.results?.find((r) => r.name === name);
const statusOf = (v: Validation, name: string): string | undefined => (name === overall ? v.status || undefined : resultOf(v, name)?.status);

function Cell({ v, name, place, tabbable, lit, onEnter }: { v: Validation; name: string; place: string; tabbable: boolean; lit: boolean; onEnter: () => void }) {
  const s = statusOf(v, name);
  const look = statusLook(s, name === overall ? v.state : undefined);
  const r = resultOf(v, name);
  const value = r ? `, ${quantity(r.estimate, r.kind, r.unit)}` : "";
  return (
    <div role="gridcell" className="heat-cell-box" data-lit={lit || undefined}>
      <Link
        to={`/validations/${v.id}`}
        className="heat-cell"
        data-cell={place}
        data-tone={look.tone}
        data-empty={!s || undefined}
        tabIndex={tabbable ? 0 : -1}
        aria-label={`${name === overall ? "Verdict" : name}, validation ${v.number}: ${look.word}${value}`}
        onMouseEnter={onEnter}
        onFocus={onEnter}
      >
        <span aria-hidden>{look.glyph}</span>
      </Link>
    </div>
  );
}

/** What the cell under the pointer or the cursor says; its height does not change. */
function Detail({ v, name }: { v: Validation; name: string }) {
  const r = resultOf(v, name);
  const look = statusLook(statusOf(v, name), v.state);
  return (
    <div className="heat-detail" aria-live="polite">
      <div className="heat-detail-head">
        <Badge look={look} />
        <strong>{name === overall ? "Verdict" : name}</strong>
        <span>#{v.number}</span>
        {v.tags?.purpose && <span className="tag">{v.tags.purpose}</span>}
        {v.variant && <span className="tag">{v.variant}</span>}
        {v.pinned && <span className="tag">★ reference</span>}
        {v.training !== "auto" && <span className="tag">{v.training} for training</span>}
        <span className="dim"><Ago at={v.finished ?? v.created} /></span>
      </div>
      {r ? (
        <dl className="facts">
          <div><dt>{r.statistic || "value"}</dt><dd>{quantity(r.estimate, r.kind, r.unit)}</dd></div>
          <div><dt>limit</dt><dd>{bounds(r)}</dd></div>
          {!Number.isNaN(num(r.baseline)) && <div><dt>{r.learned ? `median of ${r.learned} runs` : "baseline"}</dt><dd>{quantity(r.baseline, r.kind, r.unit)}</dd></div>}
          <div><dt>n</dt><dd>{count(r.n)}</dd></div>
        </dl>
      ) : (
        <Outcomes v={v} />
      )}
      <p>{r ? r.why : v.headline || v.verdict?.summary || (v.state === "finished" ? "" : "Not finished yet.")}</p>
    </div>
  );
}

/** How many objectives came out how. */
function Outcomes({ v }: { v: Validation }) {
  const results = v.verdict?.results ?? [];
  return (
    <dl className="facts">
      {statuses
        .map((s) => [statusLook(s), results.filter((r) => r.status === s).length] as const)
        .filter(([, n]) => n > 0)
        .map(([look, n]) => (
          <div key={look.word}><dt>{look.word.toLowerCase()}</dt><dd data-tone={look.tone} className="toned">{look.glyph} {n}</dd></div>
        ))}
    </dl>
  );
}

export function bounds(r: Result): string {
  const hi = num(r.limit);
  const lo = num(r.limitLow);
  if (Number.isNaN(hi) && Number.isNaN(lo)) return "none";
  if (Number.isNaN(lo)) return quantity(r.limit, r.kind, r.unit);
  if (Number.isNaN(hi)) return quantity(r.limitLow, r.kind, r.unit);
  return `${quantity(r.limitLow, r.kind, r.unit)} – ${quantity(r.limit, r.kind, r.unit)}`;
}

function Legend() {
  return (
    <ul className="legend" aria-label="Legend">
      {statuses.map((s) => {
        const look = statusLook(s);
        return (
          <li key={s}>
            <span className="heat-cell heat-swatch" data-tone={look.tone} aria-hidden>{look.glyph}</span>
            {look.word}
          </li>
        );
      })}
    </ul>
  );
}
