import { Button } from "@mantine/core";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { post, seg } from "../api/client";
import { useEvents, useLoadRun } from "../api/queries";
import type { LoadRun } from "../api/types";
import { count, percent, perSecond } from "../format/number";
import { isZeroTime, nanos, parseTime, seconds } from "../format/time";
import { ActDialog, type Act } from "../parts/ActDialog";
import { EventLine } from "../parts/EventLine";
import { notable } from "../parts/kinds";
import { Answer, Page, Section } from "../parts/Page";
import { ServiceLink } from "../parts/service";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { stateLook } from "../status/status";

export default function LoadRunPage() {
  const id = useParams().runId ?? "";
  const q = useLoadRun(id);
  const [act, setAct] = useState<Act | null>(null);
  const r = q.data;
  return (
    <Page
      title={r ? `Run of ${r.test}` : "Run"}
      lead={r ? <><Badge look={stateLook(r.state)} size="sm" /> on <ServiceLink of={r.target} /> · {r.tool}{r.purpose && ` · ${r.purpose}`}{r.who && ` · by ${r.who}`} · started <Ago at={r.started} />{!isZeroTime(r.finished) && ` · took ${seconds((parseTime(r.finished) - parseTime(r.started)) / 1000)}`}</> : <>&nbsp;</>}
      aside={r?.state === "running" && <Button size="xs" variant="default" onClick={() => setAct(cancelAct(r))}>Cancel</Button>}
    >
      <Answer q={q} height={260}>{(r) => <Body r={r} />}</Answer>
      <ActDialog act={act} onClose={() => setAct(null)} />
    </Page>
  );
}

function cancelAct(r: LoadRun): Act {
  return {
    title: `Cancel the run of ${r.test}`,
    effects: ["No further request is sent; answers under way are waited for.", "The run is kept as cancelled. It says finished to nobody, so nothing validates it."],
    confirm: `Cancel ${r.test}`,
    run: (who, reason) => post(`/v1/loadtest-runs/${seg(r.id)}/cancel`, { who, reason }),
  };
}

function Body({ r }: { r: LoadRun }) {
  const x = r.result;
  const related = useEvents({ correlation: r.id, limit: 50 });
  return (
    <>
      {r.error && <div className="verdict" data-tone="fail"><span className="summary-glyph" aria-hidden>✕</span><p className="verdict-text">{r.error}</p></div>}
      {r.state === "running" && <p className="dim" role="status">Requests are being sent; numbers come when it is done.</p>}
      {x && (
        <>
          <div className="stats">
            <Stat label="requests" value={count(x.requests)} />
            <Stat label="failed" value={percent(x.requests ? x.failures / x.requests : 0)} tone={x.failures > 0 ? "fail" : undefined} />
            <Stat label="pace" value={perSecond(x.rate)} />
            <Stat label="mean" value={nanos(x.mean)} />
            <Stat label="p50" value={nanos(x.p50)} />
            <Stat label="p90" value={nanos(x.p90)} />
            <Stat label="p99" value={nanos(x.p99)} />
            <Stat label="slowest" value={nanos(x.max)} />
            {!!x.dropped && <Stat label="not sent" value={count(x.dropped)} tone="warn" />}
          </div>
          <div className="columns">
            <Counts title="Answers" of={x.codes ?? {}} word={(k) => (k === "0" ? "no answer" : `HTTP ${k}`)} />
            <Counts title="Errors" of={x.errors ?? {}} word={(k) => k} />
          </div>
        </>
      )}
      {r.output && <Section title="Output"><pre className="output">{r.output}</pre></Section>}
      {!!related.data?.events?.length && (
        <Section title="What followed" aside={<Link to={`/changes?correlation=${encodeURIComponent(r.id)}`}>On the timeline</Link>}>
          <ul className="list">{related.data.events.filter(notable).map((e) => <EventLine key={e.id} e={e} />)}</ul>
        </Section>
      )}
    </>
  );
}

function Stat({ label, value, tone }: { label: string; value: string; tone?: string }) {
  return <div className="stat" data-tone={tone}><strong>{value}</strong><span>{label}</span></div>;
}

function Counts({ title, of, word }: { title: string; of: Record<string, number>; word: (k: string) => string }) {
  const rows = Object.entries(of).sort((a, b) => b[1] - a[1]);
  if (!rows.length) return null;
  return (
    <Section title={title}>
      <dl className="pairs">{rows.map(([k, n]) => <div key={k}><dt>{word(k)}</dt><dd>{count(n)}</dd></div>)}</dl>
    </Section>
  );
}
