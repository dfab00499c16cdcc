import { Link } from "react-router";
import type { RolloutRun } from "../api/types";
import { isZeroTime, parseTime, seconds } from "../format/time";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { runLook } from "./look";

/** One rollout in a list: what goes where, how far, and why. */
export function RunLine({ r }: { r: RolloutRun }) {
  return (
    <li className="verdict-line" data-testid="rollout-run">
      <Badge look={runLook(r)} size="sm" />
      <div>
        <Link to={`/rollouts/${r.id}`}>{r.rollout.name}</Link> <code>{r.stable.version || r.stable.name || "–"} → {r.candidate.version || r.candidate.name}</code>
        {r.state === "running" && <span className="tag">{r.steps?.[r.at]?.weight} %</span>}
        {r.why && <div>{r.why}</div>}
        <div className="dim event-meta"><span>{r.who}</span><Ago at={r.started} />{!isZeroTime(r.finished) && <span>took {seconds((parseTime(r.finished) - parseTime(r.started)) / 1000)}</span>}</div>
      </div>
    </li>
  );
}
