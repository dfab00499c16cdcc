/** Pieces of a line without gaps, as an SVG path. */
export function linePath(points: { x: number; y: number | null }[]): string {
  let d = "";
  let pen = false;
  for (const p of points) {
    if (p.y === null || !Number.isFinite(p.y)) {
      pen = false;
      continue;
    }
    d += `${pen ? "L" : "M"}${p.x.toFixed(1)} ${p.y.toFixed(1)}`;
    pen = true;
  }
  return d;
}

interface Props {
  values: (number | null)[];
  label: string;
  width?: number;
  height?: number;
  tone?: "line" | "fail";
  /** The top of the scale is at least this, so that noise around zero stays flat. */
  atLeast?: number;
}

/** A line without axes, from zero; the label says what it is to who cannot see it. */
export function Sparkline({ values, label, width = 96, height = 24, tone = "line", atLeast = 0 }: Props) {
  const max = values.reduce<number>((m, v) => Math.max(m, v ?? 0), atLeast) || 1;
  const step = width / Math.max(values.length - 1, 1);
  const d = linePath(values.map((v, i) => ({ x: i * step, y: v === null ? null : height - 1 - (v / max) * (height - 2) })));
  return (
    <svg className="spark" data-tone={tone} width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      <line x1="0" x2={width} y1={height - 0.5} y2={height - 0.5} className="spark-base" />
      {d && <path d={d} />}
    </svg>
  );
}
