import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from "react";
import { millis } from "../format/time";
import { serviceColor } from "../parts/service";
import { visible, type Layout, type Row } from "./layout";

const rowHeight = 26;

interface Props {
  layout: Layout;
  selected: string;
  onSelect: (spanId: string) => void;
}

/** The spans of a trace over time; only the rows in sight exist in the document. */
export function Waterfall({ layout: l, selected, onSelect }: Props) {
  const [collapsed, setCollapsed] = useState<ReadonlySet<number>>(new Set());
  const shown = useMemo(() => visible(l.rows, collapsed), [l.rows, collapsed]);
  const scroll = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({ count: shown.length, getScrollElement: () => scroll.current, estimateSize: () => rowHeight, overscan: 12 });

  const at = shown.findIndex((i) => l.rows[i]!.span.spanId === selected);

  // A selected span that is folded away, or out of sight, comes into view.
  const revealed = useRef("");
  useEffect(() => {
    if (!selected || revealed.current === selected) return;
    const row = l.rows.find((r) => r.span.spanId === selected);
    if (!row) return;
    if (at < 0) {
      setCollapsed((c) => {
        const n = new Set(c);
        for (let p = row.parent; p >= 0; p = l.rows[p]!.parent) n.delete(p);
        return n;
      });
      return;
    }
    revealed.current = selected;
    virtual.scrollToIndex(at, { align: "auto" });
  }, [selected, at, l.rows, virtual]);

  const fold = (i: number, on: boolean) =>
    setCollapsed((c) => {
      const n = new Set(c);
      if (on) n.add(i);
      else n.delete(i);
      return n;
    });
  const go = (pos: number) => {
    const i = shown[Math.min(Math.max(pos, 0), shown.length - 1)];
    if (i !== undefined) onSelect(l.rows[i]!.span.spanId);
  };
  const key = (e: KeyboardEvent) => {
    const row = at >= 0 ? l.rows[shown[at]!]! : undefined;
    switch (e.key) {
      case "ArrowDown": go(at + 1); break;
      case "ArrowUp": go(at < 0 ? 0 : at - 1); break;
      case "PageDown": go(at + 15); break;
      case "PageUp": go(at - 15); break;
      case "Home": go(0); break;
      case "End": go(shown.length - 1); break;
      case "ArrowLeft":
        if (row && row.descendants > 0 && !collapsed.has(row.index)) fold(row.index, true);
        else if (row && row.parent >= 0) onSelect(l.rows[row.parent]!.span.spanId);
        break;
      case "ArrowRight":
        if (row && collapsed.has(row.index)) fold(row.index, false);
        else go(at + 1);
        break;
      case "Escape": onSelect(""); break;
      default: return;
    }
    e.preventDefault();
  };

  return (
    <div className="waterfall">
      <div className="wf-head" aria-hidden>
        <div className="wf-name">Span</div>
        <div className="wf-axis">{ticks.map((f) => <span key={f} style={{ left: `${f * 100}%` }}>{millis(l.duration * f)}</span>)}</div>
      </div>
      <div
        className="wf-scroll"
        ref={scroll}
        role="tree"
        aria-label={`Waterfall of ${l.rows.length} spans`}
        aria-activedescendant={at >= 0 ? `span-${selected}` : undefined}
        tabIndex={0}
        onKeyDown={key}
      >
        <div className="wf-body" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((v) => {
            const row = l.rows[shown[v.index]!]!;
            return (
              <Line
                key={row.index}
                row={row}
                top={v.start}
                total={l.duration || 1}
                critical={l.critical.get(row.index)}
                selected={row.span.spanId === selected}
                folded={collapsed.has(row.index)}
                onFold={() => fold(row.index, !collapsed.has(row.index))}
                onSelect={() => onSelect(row.span.spanId)}
              />
            );
          })}
        </div>
      </div>
    </div>
  );
}

const ticks = [0, 0.25, 0.5, 0.75];

interface LineProps {
  row: Row;
  top: number;
  total: number;
  critical?: { from: number; to: number }[];
  selected: boolean;
  folded: boolean;
  onFold: () => void;
  onSelect: () => void;
}

function Line({ row, top, total, critical, selected, folded, onFold, onSelect }: LineProps) {
  const s = row.span;
  const pc = (ms: number) => `${(ms / total) * 100}%`;
  const failed = s.status === "error";
  // The duration stands behind the bar, before it at the right edge, and on
  // it where the bar fills the line.
  const left = row.start / total;
  const end = left + row.duration / total;
  const inside = end > 0.84 && left < 0.16;
  return (
    <div
      className="wf-row"
      id={`span-${s.spanId}`}
      role="treeitem"
      aria-level={row.depth + 1}
      aria-selected={selected}
      aria-expanded={row.descendants ? !folded : undefined}
      data-failed={failed || undefined}
      style={{ transform: `translateY(${top}px)`, height: rowHeight }}
      onClick={onSelect}
    >
      <div className="wf-name" style={{ paddingLeft: 4 + Math.min(row.depth, 24) * 12 }}>
        {row.descendants > 0 ? (
          <button type="button" className="wf-fold" tabIndex={-1} aria-label={folded ? "Unfold" : "Fold"} onClick={(e) => { e.stopPropagation(); onFold(); }}>
            {folded ? "▸" : "▾"}
          </button>
        ) : (
          <span className="wf-fold" />
        )}
        <span className="wf-service" style={{ background: serviceColor(s.service ?? "") }} />
        {failed && <span className="wf-error" aria-label="failed">✕</span>}
        <span className="wf-text"><b>{s.service}</b> {s.name}</span>
        {folded && row.errorsBelow > 0 && <span className="tag" data-tone="fail">✕ {row.errorsBelow}</span>}
      </div>
      <div className="wf-track">
        <div className="wf-bar" style={{ left: pc(row.start), width: `max(2px, ${pc(row.duration)})`, background: serviceColor(s.service ?? "") }} />
        {critical?.map((c, i) => <div key={i} className="wf-critical" style={{ left: pc(c.from), width: `max(1px, ${pc(c.to - c.from)})` }} />)}
        <span className="wf-time" data-inside={inside || undefined} style={inside ? { right: "2px" } : end > 0.84 ? { right: `${(1 - left) * 100}%` } : { left: pc(row.start + row.duration) }}>
          {millis(row.duration)}
        </span>
      </div>
    </div>
  );
}
