import { Button } from "@mantine/core";
import { Link } from "react-router";
import type { Release, ReleaseAction, StageRun } from "../api/types";
import { isZeroTime, parseTime, seconds } from "../format/time";
import type { Act } from "../parts/ActDialog";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { decideAct } from "./acts";
import { buildLook, releaseLook, verdictHref } from "./look";

const glyphs: Record<string, string> = { deploy: "⬆", loadTest: "▷", event: "✎", validate: "⚖", approve: "☑", command: "❯", webhook: "⇢" };
const words: Record<string, string> = { deploy: "deploy", loadTest: "load test", event: "event", validate: "validate", approve: "approve", command: "command", webhook: "webhook" };

/** One action of a stage: what it does, what came of it, what a person may decide. */
export function ActionCard({ r, s, a, act }: { r: Release; s: StageRun; a: ReleaseAction; act: (a: Act) => void }) {
  const look = releaseLook(a.state);
  const message = a.error || a.message;
  const said = [a.verdict?.headline, a.loadTest?.headline].some((t) => t && message?.includes(t));
  return (
    <li className="card action-card" data-testid="action" data-kind={a.kind} data-tone={look.tone}>
      <div className="card-head">
        <span className="card-title"><span aria-hidden>{glyphs[a.kind]}</span> {a.name}</span>
        <Badge look={look} size="sm" />
      </div>
      <p className="dim">{a.name !== words[a.kind] && words[a.kind]}{a.group ? " · side by side" : ""}{a.tries > 1 && ` · tried ${a.tries} times`}</p>
      {a.verdict && (
        <p className="action-verdict">
          <Badge look={buildLook(a.verdict.status)} size="sm" /> <Link to={verdictHref(a.verdict, r.pipeline)}>{a.verdict.headline || a.verdict.name}</Link>
          {!!a.verdict.decidedBy?.length && <span className="dim"> decided by {a.verdict.decidedBy.join(", ")}</span>}
        </p>
      )}
      {a.approval && (
        <p><strong>{a.approval.approved ? "Approved" : "Rejected"}</strong> by {a.approval.by} <Ago at={a.approval.at} />{a.approval.reason && <>: “{a.approval.reason}”</>}</p>
      )}
      {a.deployment && (
        <p>
          <code className="from-to">{a.deployment.from || "–"} → {a.deployment.revision.version}</code> {a.deployment.target.app} on {a.deployment.target.environment}
          {a.deployment.address && <> at <code>{a.deployment.address}</code></>}
        </p>
      )}
      {a.loadTest && <p><Link to={`/loadtests/${a.loadTest.run}`}>{a.loadTest.headline || `Run ${a.loadTest.state}`}</Link></p>}
      {message && !a.approval && !said && !a.deployment && <p className={a.error ? "failure-inline" : undefined}>{message}</p>}
      {a.deployment && a.error && <p className="failure-inline">{a.error}</p>}
      {a.output && <details open={a.state === "failed" || undefined}><summary>Output</summary><pre className="output">{a.output}</pre></details>}
      {!isZeroTime(a.notBefore) && a.state === "waiting" && <p className="dim">tried again <Ago at={a.notBefore!} /></p>}
      {!isZeroTime(a.started) && (
        <p className="dim">
          <Ago at={a.started!} />{!isZeroTime(a.finished) && ` · took ${seconds((parseTime(a.finished) - parseTime(a.started)) / 1000)}`}
          {a.eventId && <> · <Link to={`/changes?id=${encodeURIComponent(a.eventId)}`}>on the timeline</Link></>}
        </p>
      )}
      {a.kind === "approve" && a.state === "waiting" && (
        <div className="buttons">
          <Button size="xs" onClick={() => act(decideAct(r, s, a, true))}>Approve</Button>
          <Button size="xs" color="red" variant="outline" onClick={() => act(decideAct(r, s, a, false))}>Reject</Button>
        </div>
      )}
    </li>
  );
}
