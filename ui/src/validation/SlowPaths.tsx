import type { SlowPath } from "../api/types";
import { percent } from "../format/number";
import { nanos } from "../format/time";
import { Operation, ServiceLink } from "../parts/service";
import { Exemplars } from "./FailureGroups";

/** Own time on the critical path per request, now and in the baseline. */
export function SlowPaths({ paths }: { paths: SlowPath[] }) {
  const top = Math.max(...paths.map((p) => Math.max(p.candidate, p.baseline)), 1);
  return (
    <ul className="slow">
      {paths.map((p) => (
        <li key={p.service + p.operation}>
          <div className="slow-name"><ServiceLink of={p} plain /> <code><Operation name={p.operation} /></code></div>
          <div className="slow-bars">
            <div className="slow-bar" data-side="now" style={{ width: `${(p.candidate / top) * 100}%` }} />
            <div className="slow-bar" data-side="before" style={{ width: `${(p.baseline / top) * 100}%` }} />
          </div>
          <div className="slow-value">
            <strong>{nanos(p.candidate)}</strong> <span className="dim">was {nanos(p.baseline)}{p.baseline > 0 && ` (${p.candidate >= p.baseline ? "+" : ""}${percent(p.candidate / p.baseline - 1)})`}</span>
          </div>
          <Exemplars list={p.exemplars ?? []} />
        </li>
      ))}
    </ul>
  );
}
