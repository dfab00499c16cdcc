import { useNavigate } from "react-router";
import type { Validation } from "../api/types";
import { num, quantity } from "../format/number";
import { linePath } from "../parts/Sparkline";
import { statusLook } from "../status/status";

/** One objective over the validations: each value with its interval, the limit it was held to, what was learned. */
export function History({ name, validations }: { name: string; validations: Validation[] }) {
  const navigate = useNavigate();
  const points = [...validations]
    .reverse()
    .flatMap((v) => {
      const r = v.verdict?.results?.find((x) => x.name === name);
      return r && !Number.isNaN(num(r.estimate)) ? [{ v, r }] : [];
    });
  if (points.length === 0) return <p className="dim">No values of {name} yet.</p>;
  const finite = points.flatMap(({ r }) => [r.estimate, r.high, r.limit, r.baseline].map(num)).filter(Number.isFinite);
  const top = Math.max(...finite, 0) * 1.08 || 1;
  const W = 720;
  const H = 160;
  const step = W / points.length;
  const x = (i: number) => step * (i + 0.5);
  const y = (n: number) => (Number.isFinite(n) ? H - (Math.max(n, 0) / top) * H : null);
  const last = points.at(-1)!.r;
  const line = (f: (p: (typeof points)[number]) => number) => linePath(points.map((p, i) => ({ x: x(i), y: y(f(p)) })));
  return (
    <figure className="history">
      <figcaption>
        <strong>{name}</strong> <span className="dim">{last.statistic}</span>
        <span className="key key-line">value</span>
        <span className="key key-limit">limit</span>
        <span className="key key-base">learned median</span>
        <span className="history-top dim">top {quantity(top, last.kind, last.unit)}</span>
      </figcaption>
      <div className="history-plot">
        <svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" aria-hidden>
          {points.map(({ r }, i) => {
            const lo = y(num(r.low));
            const hi = y(num(r.high));
            return lo !== null && hi !== null ? <line key={i} className="whisker" x1={x(i)} x2={x(i)} y1={lo} y2={hi} /> : null;
          })}
          <path className="h-base" d={line((p) => num(p.r.baseline))} />
          <path className="h-limit" d={line((p) => num(p.r.limit))} />
          <path className="h-limit" d={line((p) => num(p.r.limitLow))} />
          <path className="h-line" d={line((p) => num(p.r.estimate))} />
        </svg>
        {points.map(({ v, r }, i) => {
          const look = statusLook(r.status);
          return (
            <button
              key={v.id}
              type="button"
              className="history-dot"
              data-tone={look.tone}
              style={{ left: `${(x(i) / W) * 100}%`, top: `${((y(num(r.estimate)) ?? 0) / H) * 100}%` }}
              title={`#${v.number} ${look.word}: ${quantity(r.estimate, r.kind, r.unit)}, limit ${quantity(r.limit, r.kind, r.unit)}`}
              aria-label={`Validation ${v.number}, ${look.word}, ${quantity(r.estimate, r.kind, r.unit)}`}
              onClick={() => void navigate(`/validations/${v.id}`)}
            />
          );
        })}
      </div>
    </figure>
  );
}
