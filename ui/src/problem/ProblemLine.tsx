import { Link } from "react-router";
import type { Problem } from "../api/types";
import { count } from "../format/number";
import { isZeroTime, parseTime, seconds } from "../format/time";
import { ServiceLink } from "../parts/service";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { problemLook } from "./look";

/** One problem in a list: what happened, why, whom it hurts. */
export function ProblemLine({ p }: { p: Problem }) {
  const end = isZeroTime(p.closed) ? undefined : parseTime(p.closed);
  return (
    <li className="verdict-line" data-testid="problem" data-state={p.state}>
      <Badge look={problemLook(p)} size="sm" />
      <div>
        <Link to={`/problems/${p.id}`}>P-{p.number} {p.title}</Link>
        {p.frequent && <span className="tag">frequent</span>}
        {!!p.reopened && <span className="tag">came back {p.reopened}×</span>}
        {p.acknowledgedBy && <span className="tag">{p.acknowledgedBy} looks after it</span>}
        <div>{p.cause ? p.cause.sentence : <span className="dim">The cause is being looked for.</span>}</div>
        <div className="dim event-meta">
          {(p.impact.services ?? []).slice(0, 4).map((s) => <ServiceLink key={`${s.service}@${s.environment}`} of={s} />)}
          {(p.impact.services ?? []).length > 4 && <span>and {(p.impact.services ?? []).length - 4} more</span>}
          {p.impact.failedRequests > 0 && <span>{count(p.impact.failedRequests)} failed</span>}
          {p.impact.slowRequests > 0 && <span>{count(p.impact.slowRequests)} slow</span>}
          <span>since <Ago at={p.start} /></span>
          {end !== undefined && <span>lasted {seconds((end - parseTime(p.start)) / 1000)}</span>}
        </div>
      </div>
    </li>
  );
}
