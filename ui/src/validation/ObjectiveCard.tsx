import type { ChangeEvent, Result, Source, Window } from "../api/types";
import { count, num, percent, quantity } from "../format/number";
import { clock, parseTime } from "../format/time";
import { bounds } from "../guardian/Heatmap";
import { linePath } from "../parts/Sparkline";
import { Badge } from "../status/Badge";
import { statusLook } from "../status/status";

const criteria: Record<string, string> = {
  threshold: "fixed limit",
  adaptive: "learned limit",
  comparison: "against a baseline",
  watch: "watched against a baseline",
  info: "for information",
};

/** One objective: value, interval, limit, how much was seen, and its course. */
export function ObjectiveCard({ r, source, window, change }: { r: Result; source?: Source; window: Window; change?: ChangeEvent }) {
  const q = (n: Result["estimate"]) => quantity(n, r.kind, r.unit);
  const mde = num(r.mde);
  const p = num(r.pValue);
  return (
    <article className="card objective-card" data-testid="objective" data-name={r.name}>
      <div className="card-head">
        <h3>{r.name}</h3>
        <Badge look={statusLook(r.status)} />
      </div>
      <div className="objective-value">
        <strong>{q(r.estimate)}</strong>
        <span className="dim">{r.statistic}</span>
        <span className="objective-limit">{num(r.limit) || num(r.limitLow) ? `limit ${bounds(r)}` : ""}</span>
      </div>
      <Course r={r} source={source} window={window} change={change} />
      <p className="why">{r.why}</p>
      <dl className="facts">
        <div><dt>interval</dt><dd>{interval(r)}</dd></div>
        <div><dt>n</dt><dd>{count(r.n)}</dd></div>
        {!Number.isNaN(num(r.baseline)) && <div><dt>{r.learned ? `median of ${r.learned}` : "baseline"}</dt><dd>{q(r.baseline)}</dd></div>}
        {!Number.isNaN(num(r.warn)) && <div><dt>warns at</dt><dd>{q(r.warn)}</dd></div>}
        {!Number.isNaN(mde) && (
          <div title="The smallest regression that would have been seen with 95 % power">
            <dt>would have seen</dt>
            <dd>{Number.isNaN(num(r.detectable)) ? `a change of ${percent(mde)}` : q(r.detectable)}</dd>
          </div>
        )}
        {!Number.isNaN(p) && <div title="After correction for the number of objectives"><dt>p</dt><dd>{p < 0.0001 ? "< 0.0001" : p.toPrecision(2)}</dd></div>}
        {!!r.needed && <div><dt>still needed</dt><dd>{count(r.needed)}</dd></div>}
        <div><dt>held to</dt><dd>{criteria[r.criterion] ?? r.criterion}{r.role === "key" && ", key"}</dd></div>
      </dl>
      {r.notes?.map((n) => <p key={n} className="note">{n}</p>)}
      {!!source?.queries?.length && (
        <details className="queries">
          <summary>Query</summary>
          {source.queries.map((x) => <code key={x} className="promql">{x}</code>)}
        </details>
      )}
    </article>
  );
}

/** The confidence interval; one that spans a million times its low end says nothing. */
function interval(r: Result): string {
  const lo = num(r.low);
  const hi = num(r.high);
  if (Number.isNaN(lo) && Number.isNaN(hi)) return "–";
  if (lo > 0 && hi / lo > 1e6) return "too few points";
  return `${quantity(r.low, r.kind, r.unit)} – ${quantity(r.high, r.kind, r.unit)}`;
}

/** The value before and during the window: window shaded, limit as a line, the change as a flag. */
function Course({ r, source, window, change }: { r: Result; source?: Source; window: Window; change?: ChangeEvent }) {
  const points = (source?.series ?? []).map((p) => ({ t: num(p?.[0]), v: num(p?.[1]) }));
  const W = 320;
  const H = 84;
  if (points.length < 2) return <div className="course course-empty dim">no course kept</div>;
  const from = parseTime(window.from) / 1000;
  const to = parseTime(window.to) / 1000;
  const t0 = Math.min(points[0]!.t, from);
  const t1 = Math.max(points.at(-1)!.t, to);
  const limits = [num(r.limit), num(r.limitLow)].filter(Number.isFinite);
  const top = Math.max(...points.map((p) => p.v).filter(Number.isFinite), ...limits, 0) * 1.1 || 1;
  const x = (t: number) => ((t - t0) / (t1 - t0 || 1)) * W;
  const y = (v: number) => H - (Math.max(v, 0) / top) * H;
  const changed = change ? parseTime(change.start) / 1000 : NaN;
  return (
    <figure className="course">
      <svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" role="img" aria-label={`Course of ${r.name}; top ${quantity(top, r.kind, r.unit)}`}>
        <rect className="course-window" x={x(from)} width={Math.max(x(to) - x(from), 1)} y="0" height={H} />
        {limits.map((l) => <line key={l} className="course-limit" x1="0" x2={W} y1={y(l)} y2={y(l)} />)}
        <path className="course-line" d={linePath(points.map((p) => ({ x: x(p.t), y: Number.isFinite(p.v) ? y(p.v) : null })))} />
        {changed >= t0 && changed <= t1 && <line className="course-change" x1={x(changed)} x2={x(changed)} y1="0" y2={H} />}
      </svg>
      {changed >= t0 && changed <= t1 && (
        <span className="course-flag" style={{ left: `${(x(changed) / W) * 100}%` }} title={`${change!.title}${change!.who ? `, by ${change!.who}` : ""}`}>⚑</span>
      )}
      <figcaption className="dim">
        <span>{clock(t0 * 1000)}</span>
        <span>judged window shaded</span>
        <span>{clock(t1 * 1000)}</span>
      </figcaption>
    </figure>
  );
}
