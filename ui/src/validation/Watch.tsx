import type { Look, Validation, WatchCourse } from "../api/types";
import { count, num, quantity } from "../format/number";
import { clock, parseTime } from "../format/time";
import { linePath } from "../parts/Sparkline";
import { Section } from "../parts/Page";
import { Badge } from "../status/Badge";
import { statusLook } from "../status/status";

/** What was seen while the window was open, look by look; it grows while it runs. */
export function WatchCharts({ v }: { v: Validation }) {
  const w = v.watch;
  if (!w?.courses?.length) return null;
  const from = parseTime(v.window.from);
  const until = parseTime(w.until);
  const to = parseTime(v.window.to);
  const early = v.state === "finished" && to < until;
  return (
    <Section title="Watched" aside={<span className="dim">{early ? `ended ${clock(to)} instead of ${clock(until)}` : `until ${clock(until)}`}</span>}>
      <div className="cards objective-cards">
        {w.courses.map((c) => <Course key={c.objective} c={c} from={from} until={until} running={v.state === "running"} />)}
      </div>
    </Section>
  );
}

function Course({ c, from, until, running }: { c: WatchCourse; from: number; until: number; running: boolean }) {
  const last = c.looks?.at(-1);
  if (!last) return null;
  const q = (n: Look["estimate"]) => quantity(n, c.kind, c.unit);
  return (
    <article className="card objective-card" data-testid="watch" data-name={c.objective}>
      <div className="card-head">
        <h3>{c.objective}</h3>
        <Badge look={statusLook(running && c.status === "inconclusive" ? undefined : c.status, "running")} />
      </div>
      <div className="objective-value">
        <strong>{q(last.estimate)}</strong>
        <span className="dim">baseline {q(last.baseline)}</span>
        <span className="objective-limit">{count(last.n)} requests</span>
      </div>
      <Evidence c={c} looks={c.looks ?? []} from={from} until={until} />
      <p className="why">{inWords(c, last, running)}</p>
    </article>
  );
}

const odds = (e: number) => (e >= 1e6 ? "over a million" : count(e));

/** What the last look means. */
export function inWords(c: Pick<WatchCourse, "status" | "failAt">, last: Pick<Look, "eValue" | "needed">, running: boolean): string {
  if (Number.isNaN(num(last.eValue))) return c.status === "error" ? "It could not be read at the last look." : "Nothing to compare at the last look.";
  const e = `Evidence that it is worse: ${odds(num(last.eValue))} to 1.`;
  if (c.status === "fail") return `${e} It fails at ${odds(c.failAt)} to 1.`;
  if (c.status === "inconclusive" && last.needed) return `${e} About ${count(Number(last.needed.toPrecision(2)))} more requests needed to pass.`;
  if (c.status === "inconclusive") return `${e} Not decided${running ? " yet" : ""}.`;
  if (c.status === "pass" && running) return `${e} Enough was seen to pass; watched until the window ends.`;
  return e;
}

/** The e-value over time on a logarithmic scale, with the line where it fails. */
function Evidence({ c, looks, from, until }: { c: WatchCourse; looks: Look[]; from: number; until: number }) {
  const W = 320;
  const H = 84;
  const top = Math.log10(c.failAt) * 1.5; // decades; more evidence than that is drawn at the top
  const x = (t: number) => (Math.min(Math.max(t - from, 0), until - from) / (until - from || 1)) * W;
  const y = (e: number) => H - (Math.min(Math.max(Math.log10(Math.max(e, 1)), 0), top) / top) * (H - 2) - 1;
  const points = looks.map((l) => {
    const e = num(l.eValue);
    return { x: x(parseTime(l.time)), y: Number.isNaN(e) ? null : y(e) };
  });
  const line = [{ x: 0, y: y(1) }, ...points];
  const end = points.at(-1)!;
  const fails = y(c.failAt);
  return (
    <figure className="course">
      <svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" role="img" aria-label={`Evidence against ${c.objective}, logarithmic; fails at ${count(c.failAt)} to 1`}>
        <rect className="evidence-fails" x="0" width={W} y="0" height={fails} />
        <line className="course-limit" x1="0" x2={W} y1={fails} y2={fails} />
        <path className="course-line" d={linePath(line)} />
      </svg>
      <span className="evidence-label" style={{ top: fails - 15 }}>fails at {count(c.failAt)} : 1</span>
      {end.y !== null && <span className="evidence-now" data-fail={end.y <= fails || undefined} style={{ left: `${(end.x / W) * 100}%`, top: end.y }} />}
      <figcaption className="dim">
        <span>{clock(from)}</span>
        <span>evidence, log scale</span>
        <span>{clock(until)}</span>
      </figcaption>
    </figure>
  );
}
