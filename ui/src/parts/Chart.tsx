import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { ChangeEvent } from "../api/types";
import { absolute, clock, parseTime } from "../format/time";
import { eventHref } from "./EventLine";
import { kindOf } from "./kinds";

export interface Line {
  label: string;
  values: (number | null)[];
  tone?: "line" | "fail";
}

interface Props {
  title: string;
  t: number[];
  lines: Line[];
  format: (v: number | null) => string;
  /** Drawn as vertical flags. */
  changes?: ChangeEvent[];
  /** Drawn as horizontal lines. */
  limits?: number[];
  /** Judged windows, unix seconds, shaded. */
  windows?: { from: number; to: number }[];
  atLeast?: number;
  /** Charts with the same key share the cursor. */
  sync?: string;
  onZoom?: (from: number, to: number) => void;
}

const height = 150;

/** Values over time: thin lines, change flags, limits, the judged window. Dragging zooms. */
export function Chart(p: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(p);
  latest.current = p;
  const [at, setAt] = useState<number | null>(null);
  const [flags, setFlags] = useState<{ x: number; e: ChangeEvent }[]>([]);
  const scheme = useComputedColorScheme("light");
  const navigate = useNavigate();
  const shape = p.lines.map((l) => l.label + l.tone).join("|");

  useEffect(() => {
    const el = box.current!;
    const css = getComputedStyle(el);
    const v = (name: string) => css.getPropertyValue(name).trim();
    const font = `11px ${css.fontFamily}`;
    const axis = { stroke: v("--dim"), grid: { stroke: v("--line-soft"), width: 1 }, ticks: { show: false }, font };
    const u = new uPlot(
      {
        width: el.clientWidth || 300,
        height,
        legend: { show: false },
        padding: [14, 8, 0, 0],
        cursor: {
          sync: p.sync ? { key: p.sync } : undefined,
          drag: { x: true, y: false, setScale: false },
          points: { size: 6 },
        },
        scales: {
          x: { time: true },
          y: { range: (_, __, max) => [0, Math.max(max ?? 0, latest.current.atLeast ?? 0, ...(latest.current.limits ?? [])) * 1.12 || 1] },
        },
        axes: [
          { ...axis, space: 70, size: 24, values: (_, ts) => ts.map((x) => (ts.length > 1 && ts[1]! - ts[0]! < 60 ? clock(x * 1000) : clock(x * 1000).slice(0, 5))) },
          { ...axis, size: 62, space: 34, values: (_, vs) => vs.map((x) => latest.current.format(x)) },
        ],
        series: [{}, ...p.lines.map((l) => ({ label: l.label, stroke: v(l.tone === "fail" ? "--chart-fail" : "--chart-line"), width: 1.5, points: { show: false } }))],
        hooks: {
          drawClear: [
            (u) => {
              const c = u.ctx;
              c.save();
              c.fillStyle = v("--shade");
              for (const w of latest.current.windows ?? []) {
                const a = Math.max(u.valToPos(w.from, "x", true), u.bbox.left);
                const b = Math.min(u.valToPos(w.to, "x", true), u.bbox.left + u.bbox.width);
                if (b > a) c.fillRect(a, u.bbox.top, b - a, u.bbox.height);
              }
              c.restore();
            },
          ],
          draw: [
            (u) => {
              const c = u.ctx;
              c.save();
              c.strokeStyle = v("--chart-limit");
              c.setLineDash([6, 4]);
              for (const l of latest.current.limits ?? []) {
                const y = Math.round(u.valToPos(l, "y", true)) + 0.5;
                c.beginPath();
                c.moveTo(u.bbox.left, y);
                c.lineTo(u.bbox.left + u.bbox.width, y);
                c.stroke();
              }
              c.restore();
              placeFlags(u, latest.current.changes ?? [], setFlags);
            },
          ],
          setCursor: [(u) => setAt(u.cursor.idx ?? null)],
          setSelect: [
            (u) => {
              if (u.select.width > 8) latest.current.onZoom?.(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
              u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
            },
          ],
        },
      },
      [p.t, ...p.lines.map((l) => l.values)] as uPlot.AlignedData,
      el,
    );
    plot.current = u;
    const size = new ResizeObserver(() => el.clientWidth && u.setSize({ width: el.clientWidth, height }));
    size.observe(el);
    return () => {
      size.disconnect();
      u.destroy();
      plot.current = null;
    };
    // The data is set below without building the chart anew.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [shape, scheme, p.sync]);

  useEffect(() => {
    plot.current?.setData([p.t, ...p.lines.map((l) => l.values)] as uPlot.AlignedData);
  }, [p.t, p.lines, p.changes, p.limits, p.windows]);

  const i = at ?? p.t.length - 1;
  return (
    <figure className="chart">
      <figcaption>
        <strong>{p.title}</strong>
        {p.lines.map((l) => (
          <span key={l.label} className="chart-value" data-tone={l.tone ?? "line"}>
            {p.lines.length > 1 && <span className="dim">{l.label} </span>}
            {p.format(l.values[i] ?? null)}
          </span>
        ))}
        <span className="dim chart-at">{at !== null && p.t[i] ? clock(p.t[i]! * 1000) : "latest"}</span>
      </figcaption>
      <div className="chart-plot" style={{ height }}>
        <div ref={box} />
        {flags.map(({ x, e }) => (
          <button
            key={e.id}
            type="button"
            className="chart-flag"
            data-kind={e.kind}
            style={{ left: x }}
            title={`${e.title}${e.who ? `\nby ${e.who}` : ""}\n${absolute(parseTime(e.start))}`}
            aria-label={`${kindOf(e.kind).word}: ${e.title}${e.who ? ` by ${e.who}` : ""}`}
            onClick={() => void navigate(eventHref(e))}
          >
            <span>{kindOf(e.kind).glyph}</span>
          </button>
        ))}
      </div>
    </figure>
  );
}

function placeFlags(u: uPlot, changes: ChangeEvent[], set: (f: { x: number; e: ChangeEvent }[]) => void) {
  const ratio = devicePixelRatio || 1;
  const left = u.bbox.left / ratio;
  const right = left + u.bbox.width / ratio;
  set(
    changes.flatMap((e) => {
      const x = left + u.valToPos(parseTime(e.start) / 1000, "x");
      return x >= left && x <= right ? [{ x, e }] : [];
    }),
  );
}
