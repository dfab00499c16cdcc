import { Skeleton } from "@mantine/core";
import { useEffect, useMemo, useRef, useState } from "react";
import { Link, useParams } from "react-router";
import { useTrace } from "../api/queries";
import { count } from "../format/number";
import { absolute, millis } from "../format/time";
import { Answer, Empty, Page } from "../parts/Page";
import { useParam } from "../parts/range";
import { ServiceDot } from "../parts/service";
import { layout } from "../trace/layout";
import { SpanDetails } from "../trace/SpanDetails";
import { Waterfall } from "../trace/Waterfall";

/**
 * The selected span, kept in the address. The address follows a moment
 * later; keys pressed meanwhile must start from the span selected last.
 */
function useSelection(): [string, (spanId: string) => void] {
  const [param, setParam] = useParam("span");
  const [selected, setSelected] = useState(param);
  const written = useRef(new Set<string>());
  useEffect(() => {
    if (!written.current.delete(param)) setSelected(param);
  }, [param]);
  return [
    selected,
    (spanId) => {
      written.current.add(spanId);
      setSelected(spanId);
      setParam(spanId);
    },
  ];
}

/** One trace: the waterfall, and beside it the selected span. */
export default function TracePage() {
  const id = useParams().id ?? "";
  const q = useTrace(id);
  const [selected, select] = useSelection();
  const l = useMemo(() => layout(q.data?.spans ?? []), [q.data]);
  const root = l.rows[0];
  const errors = l.rows.filter((r) => r.span.status === "error").length;
  return (
    <Page
      title={root ? `${root.span.service} ${root.span.name}` : "Trace"}
      lead={
        root ? (
          <>
            <span className="mono">{id.slice(0, 16)}</span> · {millis(l.duration)} · {count(l.rows.length)} spans · {l.services.length} services
            {errors > 0 && <> · <span className="tag" data-tone="fail">✕ {errors} errors</span></>} · {absolute(l.origin)}
          </>
        ) : <>&nbsp;</>
      }
      aside={<Link to="/traces">All traces</Link>}
    >
      <Answer q={q} skeleton={<Skeleton height={520} radius="md" />}>
        {() =>
          l.rows.length === 0 ? (
            <Empty title="This trace has no spans" />
          ) : (
            <>
              <ul className="service-key" aria-label="Services">
                {l.services.map((s) => <li key={s}><ServiceDot name={s} />{s}</li>)}
                <li><span className="critical-key" aria-hidden />critical path</li>
              </ul>
              <div className="trace" data-open={selected ? true : undefined}>
                <Waterfall layout={l} selected={selected} onSelect={select} />
                <SpanDetails layout={l} traceId={id} selected={selected} onClose={() => select("")} onSelect={select} />
              </div>
            </>
          )
        }
      </Answer>
    </Page>
  );
}
