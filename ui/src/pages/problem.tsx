import { Button, Skeleton } from "@mantine/core";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { post, seg } from "../api/client";
import { useEvents, useGraph, useProblem, useSeries } from "../api/queries";
import type { ChangeEvent, Problem, ProblemCause, ProblemSymptom } from "../api/types";
import { count, percent, perSecond, quantity } from "../format/number";
import { absolute, isZeroTime, parseTime, seconds } from "../format/time";
import { ServiceMap } from "../map/ServiceMap";
import { ActDialog, type Act } from "../parts/ActDialog";
import { Chart } from "../parts/Chart";
import { Answer, Page, Section } from "../parts/Page";
import { ServiceLink } from "../parts/service";
import { Ago } from "../parts/time";
import { undoAct } from "../parts/undo";
import { Actions } from "../problem/Actions";
import { causeWord, pathServices, problemLook } from "../problem/look";
import { Badge } from "../status/Badge";
import { CauseCard } from "../validation/CauseCard";
import { FailureGroups } from "../validation/FailureGroups";
import { LogFindings } from "../validation/LogFindings";
import { SlowPaths } from "../validation/SlowPaths";

/** One problem: what happened, why, what now. */
export default function ProblemPage() {
  const id = useParams().id ?? "";
  const q = useProblem(id);
  const [act, setAct] = useState<Act | null>(null);
  const p = q.data;
  return (
    <Page
      title={p ? `P-${p.number} ${p.title}` : "Problem"}
      lead={p ? <Since p={p} /> : <>&nbsp;</>}
      aside={p && (
        <div className="buttons">
          <Button size="xs" variant="default" onClick={() => setAct(commentAct(p))}>Comment</Button>
          {p.state === "open" && !p.acknowledgedBy && <Button size="xs" variant="default" onClick={() => setAct(acknowledgeAct(p))}>I look after it</Button>}
          {p.state === "open" && <Button size="xs" variant="default" onClick={() => setAct(closeAct(p))}>Close</Button>}
        </div>
      )}
    >
      <Answer q={q} skeleton={<Skeleton height={220} radius="md" />}>{(p) => <Body p={p} onAct={setAct} />}</Answer>
      <ActDialog act={act} onClose={() => setAct(null)} />
    </Page>
  );
}

function Since({ p }: { p: Problem }) {
  const from = parseTime(p.start);
  const to = isZeroTime(p.closed) ? undefined : parseTime(p.closed);
  return (
    <>
      <span title={absolute(from)}>began <Ago at={p.start} /></span>
      {" · "}noticed {seconds((parseTime(p.opened) - from) / 1000)} later
      {to !== undefined && <> · over after {seconds((to - from) / 1000)}</>}
      {p.acknowledgedBy && <> · {p.acknowledgedBy} looks after it</>}
      {!!p.reopened && <span className="tag">came back {p.reopened}×</span>}
      {p.frequent && <span className="tag">frequent: nobody is alerted</span>}
      {p.mergedInto && <> · merged into <Link to={`/problems/${p.mergedInto}`}>another problem</Link></>}
    </>
  );
}

function Body({ p, onAct }: { p: Problem; onAct: (a: Act) => void }) {
  const c = p.cause;
  const e = p.evidence;
  const look = problemLook(p);
  const undone = useUndone(p, c?.change?.event);
  const findings = c?.findings ?? [];
  const rest = (e?.changes ?? []).filter((x) => x.event.id !== c?.change?.event.id);
  return (
    <>
      <div className="verdict" data-tone={look.tone}>
        <Badge look={look} size="lg" />
        <div>
          <p className="verdict-text" data-testid="headline">{c?.sentence ?? "What causes it is being looked for."}</p>
          <p className="dim">
            {c ? <>Cause: {causeWord(c)}{c.confidence > 0 && <>, {percent(c.confidence)} sure</>}. </> : null}
            <Impact p={p} />
          </p>
        </div>
      </div>

      {c?.change && c.kind === "change" && <CauseCard c={c.change} undone={undone} firstFailure={e?.firstFailure} onUndo={(ev) => onAct(undoAct(ev))} />}

      <Actions p={p} onAct={onAct} />

      {c && pathServices(c).length > 0 && <CauseMap p={p} c={c} />}

      <Section title="What is seen">
        <div className="cards objective-cards">
          {(p.events ?? []).slice(0, 6).map((s) => <Symptom key={s.id} s={s} p={p} change={c?.kind === "change" ? c.change?.event : undefined} />)}
        </div>
        {((p.events ?? []).length > 6 || !!p.moreEvents) && <p className="dim">and {(p.events ?? []).length - 6 + (p.moreEvents ?? 0)} more places</p>}
      </Section>

      {findings.length > 0 && (
        <Section title="Why this is the cause" aside={<span className="dim">in the order in which it counts</span>}>
          <ol className="findings">
            {findings.map((f, i) => (
              <li key={i}>
                <span className="tag">{f.kind}</span> {f.text}
                {!!f.traces?.length && <> <Link to={`/traces/${f.traces[0]}`}>a trace</Link></>}
              </li>
            ))}
          </ol>
        </Section>
      )}
      {!!e?.failures?.length && (
        <Section title="Where it fails" aside={<span className="dim">{e.failedTraces} failing traces looked at{e.truncated && ", there were more"}</span>}>
          <FailureGroups groups={e.failures} />
        </Section>
      )}
      {!!e?.slow?.length && <Section title="Where time goes"><SlowPaths paths={e.slow} /></Section>}
      {!!e?.logs?.length && <Section title="What the logs say"><LogFindings logs={e.logs} /></Section>}
      {rest.length > 0 && (
        <Section title={c?.kind === "change" ? "Other changes" : "Changes that are not to blame"}>
          {rest.slice(0, 5).map((x) => <CauseCard key={x.event.id} c={x} undone={[]} onUndo={(ev) => onAct(undoAct(ev))} quiet />)}
        </Section>
      )}
      <Timeline p={p} />
      {!!e?.gaps?.length && <Section title="Not looked at"><ul>{e.gaps.map((g) => <li key={g}>{g}</li>)}</ul></Section>}
    </>
  );
}

function Impact({ p }: { p: Problem }) {
  const i = p.impact;
  const parts: string[] = [];
  if (i.failedRequests > 0) parts.push(`${count(i.failedRequests)} failed requests`);
  if (i.slowRequests > 0) parts.push(`${count(i.slowRequests)} slow requests`);
  return (
    <>
      {parts.length > 0 && <strong>{parts.join(" and ")}. </strong>}
      {!!i.entryPoints?.length && <>Users feel it at {i.entryPoints.slice(0, 3).join(", ")}. </>}
      {(i.services ?? []).slice(0, 6).map((s) => <ServiceLink key={`${s.service}@${s.environment}`} of={s} />)}
    </>
  );
}

/** The way from where users feel it to where it begins, on the service map. */
function CauseMap({ p, c }: { p: Problem; c: ProblemCause }) {
  const from = Math.floor(parseTime(p.start) / 1000) - 300;
  const end = isZeroTime(p.closed) ? undefined : Math.ceil(parseTime(p.closed) / 1000);
  const path = pathServices(c);
  const q = useGraph(c.environment || undefined, end ? { from, to: end } : { from });
  return (
    <Section title="Where it begins" aside={<span className="dim">{path.join(" → ")}</span>}>
      <Answer q={q} height={220}>{(g) => (g.nodes?.length ? <ServiceMap g={g} environment={c.environment ?? ""} path={path} /> : <p className="dim">{path.join(" → ")}</p>)}</Answer>
    </Section>
  );
}

const signals: Record<string, string> = {
  errors: "failing", latency: "slow", slowest: "slowest tenth", "traffic.drop": "too little traffic", "traffic.surge": "too much traffic",
  "no-data": "nothing arrives", series: "unusual", alert: "alert", log: "log", external: "reported",
};

function Symptom({ s, p, change }: { s: ProblemSymptom; p: Problem; change?: ChangeEvent }) {
  const kind = s.signal === "errors" ? "ratio" : s.signal === "latency" || s.signal === "slowest" ? "distribution" : s.signal.startsWith("traffic") ? "rate" : "value";
  const show = (v: number | null) => (kind === "ratio" ? percent(v) : kind === "rate" ? perSecond(v) : quantity(v, kind, s.unit));
  const from = Math.floor(parseTime(s.start) / 1000) - 300;
  const end = Math.ceil((isZeroTime(s.end) ? (isZeroTime(p.closed) ? Date.now() : parseTime(p.closed)) : parseTime(s.end)) / 10_000) * 10 + 60;
  const q = useSeries(s.query, from, end);
  const points = q.data?.series?.[0]?.points ?? [];
  return (
    <article className="card" data-testid="symptom">
      <div className="card-head">
        <span><ServiceLink of={s} plain /> {s.operation && <code>{s.operation}</code>}</span>
        <span className="tag">{signals[s.signal] ?? s.signal}</span>
      </div>
      <p>{s.why || s.title}</p>
      {s.expected !== s.observed && s.signal !== "log" && <p className="dim">{show(s.observed)} instead of {show(s.expected)}</p>}
      {points.length > 1 && (
        <Chart
          title={signals[s.signal] ?? s.signal}
          t={points.map((x) => Number(x?.[0]))}
          lines={[{ label: signals[s.signal] ?? s.signal, values: points.map((x) => (x?.[1] === null || x?.[1] === undefined ? null : Number(x[1]))), tone: "fail" }]}
          format={show}
          changes={change ? [change] : []}
          limits={s.expected > 0 ? [s.expected] : []}
          windows={[{ from: parseTime(s.start) / 1000, to: isZeroTime(s.end) ? end : parseTime(s.end) / 1000 }]}
          sync={p.id}
        />
      )}
      <p className="dim">
        since <Ago at={s.start} />, noticed {seconds((parseTime(s.detected) - parseTime(s.start)) / 1000)} later
        {!isZeroTime(s.end) && <> · over <Ago at={s.end!} /></>}
        {s.external && <> · from {s.external.url ? <a href={s.external.url} rel="noreferrer">{s.external.system}</a> : s.external.system}</>}
      </p>
      {s.query && <details><summary className="dim">query</summary><code className="promql">{s.query}</code></details>}
    </article>
  );
}

const glyphs: Record<string, string> = { opened: "●", cause: "?", action: "↩", verified: "✓", closed: "■", reopened: "●", merged: "⇉", comment: "✎" };

function Timeline({ p }: { p: Problem }) {
  const lines = [...(p.comments ?? [])].reverse();
  return (
    <Section title="What happened">
      <ul className="list" data-testid="timeline">
        {lines.map((c, i) => (
          <li key={i} className="event-line">
            <span className="event-glyph" aria-hidden>{glyphs[c.kind] ?? "•"}</span>
            <div className="event-body">
              <div className="event-title">{c.link?.startsWith("/") ? <Link to={c.link}>{c.text}</Link> : c.text}</div>
              <div className="dim event-meta"><span>{c.who}</span><Ago at={c.time} /><span className="tag">{c.kind}</span></div>
            </div>
          </li>
        ))}
      </ul>
      {p.notAlerted && <p className="dim">Nobody was alerted: {p.notAlerted}</p>}
      {(p.alerts ?? []).map((a) => <p key={`${a.profile}`} className="dim">Profile {a.profile}</p>)}
    </Section>
  );
}

/** Events that took the change to blame back; undefined until it is known. */
function useUndone(p: Problem, cause: ChangeEvent | undefined): ChangeEvent[] | undefined {
  const q = useEvents({ from: Math.floor(parseTime(p.start) / 1000) - 60, to: Math.floor(Date.now() / 60_000) * 60 + 120, limit: 200 }, cause !== undefined);
  if (!cause || q.isError) return [];
  return q.data && (q.data.events ?? []).filter((e) => e.undoOf === cause.id);
}

const commentAct = (p: Problem): Act => ({
  title: `Comment on P-${p.number}`,
  effects: ["Your words appear on the timeline, for everybody."],
  confirm: "Comment",
  run: (who, text) => post(`/v1/problems/${seg(p.id)}/comments`, { who, text }),
});

const acknowledgeAct = (p: Problem): Act => ({
  title: `Look after P-${p.number}`,
  effects: ["Everybody sees that you look after it.", "Nothing else changes: what is done by itself goes on."],
  confirm: `I look after P-${p.number}`,
  needsReason: false,
  run: (who) => post(`/v1/problems/${seg(p.id)}/acknowledge`, { who }),
});

const closeAct = (p: Problem): Act => ({
  title: `Close P-${p.number}`,
  effects: ["The problem counts as over, although it may still be seen.", "When it is seen again within half an hour, it is opened again."],
  confirm: `Close P-${p.number}`,
  dangerous: true,
  run: (who, reason) => post(`/v1/problems/${seg(p.id)}/close`, { who, reason }),
});
