import { useEffect, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { useServices, useTraces } from "../api/queries";
import type { TraceSummary } from "../api/types";
import { nanos } from "../format/time";
import { Answer, Empty, Page, Rows } from "../parts/Page";
import { RangePicker } from "../parts/RangePicker";
import { useRange } from "../parts/range";
import { ServiceDot } from "../parts/service";
import { Ago } from "../parts/time";

const fields = ["service", "operation", "environment", "version", "status", "minDuration", "maxDuration", "exceptionType"] as const;

export default function TracesPage() {
  const [params, setParams] = useSearchParams();
  const r = useRange();
  const attr = params.getAll("attr");
  const query: Record<string, string | string[] | number | undefined> = { ...r.range, limit: Number(params.get("limit")) || 50, attr };
  for (const f of fields) query[f] = params.get(f) ?? undefined;
  const q = useTraces(query);
  const services = useServices().data?.services ?? [];
  const set = (k: string, v: string) =>
    setParams((p) => {
      const n = new URLSearchParams(p);
      if (v) n.set(k, v);
      else n.delete(k);
      return n;
    }, { replace: true });
  const value = (k: string) => params.get(k) ?? "";

  return (
    <Page title="Traces" lead="Every request is kept whole; nothing is sampled." aside={<RangePicker r={r} />}>
      <form className="filters" onSubmit={(e) => e.preventDefault()} role="search">
        <select className="filter" aria-label="Service" value={value("service")} onChange={(e) => set("service", e.currentTarget.value)}>
          <option value="">every service</option>
          {[...new Set([...services.map((s) => s.service), value("service")])].filter(Boolean).sort().map((s) => <option key={s}>{s}</option>)}
        </select>
        <Late label="Operation" value={value("operation")} onChange={(v) => set("operation", v)} />
        <select className="filter" aria-label="Status" value={value("status")} onChange={(e) => set("status", e.currentTarget.value)}>
          <option value="">any status</option>
          <option value="error">failed</option>
          <option value="ok">ok</option>
          <option value="unset">unset</option>
        </select>
        <Late label="At least (250ms)" value={value("minDuration")} onChange={(v) => set("minDuration", v)} narrow />
        <Late label="At most (2s)" value={value("maxDuration")} onChange={(v) => set("maxDuration", v)} narrow />
        <Late label="Exception type" value={value("exceptionType")} onChange={(v) => set("exceptionType", v)} />
        <Late
          label="Attributes: k=v, k=v"
          value={attr.join(", ")}
          onChange={(v) =>
            setParams((p) => {
              const n = new URLSearchParams(p);
              n.delete("attr");
              v.split(",").map((x) => x.trim()).filter((x) => x.includes("=")).forEach((x) => n.append("attr", x));
              return n;
            }, { replace: true })
          }
        />
      </form>
      <Answer q={q} skeleton={<Rows n={10} height={44} />}>
        {({ traces }) => (traces?.length ? <TraceList traces={traces} /> : <Empty title="No trace matches">Widen the time range or drop a filter. Durations are written like 250ms or 1.5s.</Empty>)}
      </Answer>
    </Page>
  );
}

/** A field that filters when left or on Enter, not with each letter. */
function Late({ label, value, onChange, narrow }: { label: string; value: string; onChange: (v: string) => void; narrow?: boolean }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return (
    <input className="filter" data-narrow={narrow || undefined} placeholder={label} aria-label={label} value={text} onChange={(e) => setText(e.currentTarget.value)} onBlur={() => text !== value && onChange(text.trim())} onKeyDown={(e) => e.key === "Enter" && onChange(text.trim())} />
  );
}

export function TraceList({ traces }: { traces: TraceSummary[] }) {
  const top = Math.max(...traces.map((t) => t.duration), 1);
  return (
    <ul className="trace-list">
      {traces.map((t) => (
        <li key={t.traceId} data-failed={t.errors > 0 || undefined}>
          <Link to={`/traces/${t.traceId}`}>
            <div className="trace-what">
              <ServiceDot name={t.service} />
              <b>{t.service}</b> <span>{t.operation}</span>
              {t.errors > 0 && <span className="tag" data-tone="fail">✕ {t.errors}</span>}
              {t.exception && <span className="dim clip">{t.exception.type}{t.exception.message && `: ${t.exception.message}`}</span>}
            </div>
            <div className="trace-bar" aria-hidden><div style={{ width: `${(t.duration / top) * 100}%` }} /></div>
            <div className="trace-num">{nanos(t.duration)}</div>
            <div className="trace-meta dim">{t.spans} spans · {t.services?.length ?? 0} services · <Ago at={t.start} /></div>
          </Link>
        </li>
      ))}
    </ul>
  );
}
