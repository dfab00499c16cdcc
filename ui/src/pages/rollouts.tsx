import { Link } from "react-router";
import { useRolloutRuns, useRollouts, useRoutes } from "../api/queries";
import type { RouteStatus } from "../api/types";
import { count } from "../format/number";
import { Answer, Empty, Page, Rows, Section } from "../parts/Page";
import { useParam } from "../parts/range";
import { ServiceLink } from "../parts/service";
import { runLook } from "../rollout/look";
import { RunLine } from "../rollout/RunLine";
import { Badge } from "../status/Badge";

/** Who answers users' requests, and how new versions get theirs. */
export default function RolloutsPage() {
  const [rollout, setRollout] = useParam("rollout");
  const routes = useRoutes();
  const q = useRollouts();
  const runs = useRolloutRuns({ rollout, limit: 50 });
  return (
    <Page title="Rollouts" lead="New versions, and flags, get their users step by step, and go back when they are worse.">
      <Answer q={q} skeleton={<Rows n={2} height={88} />}>
        {({ rollouts }) =>
          rollouts?.length ? (
            <ul className="cards">
              {rollouts.map(({ rollout: r, last }) => (
                <li key={r.name} className="card">
                  <div className="card-head">
                    <button type="button" className="link card-title" aria-pressed={rollout === r.name} onClick={() => setRollout(rollout === r.name ? "" : r.name)}>{r.name}</button>
                    {last && <Badge look={runLook(last)} size="sm" />}
                  </div>
                  <p>{r.flag ? <>flag <code>{r.flag.key}</code> to <code>{r.flag.variant}</code></> : <>route <code>{r.route}</code></>}</p>
                  <ol className="steps-inline">{(r.steps ?? []).map((s, i) => <li key={i}>{s.weight} %</li>)}</ol>
                  {r.guardian && <div className="dim">judged by <Link to={`/guardians/${encodeURIComponent(r.guardian)}`}>{r.guardian}</Link></div>}
                </li>
              ))}
            </ul>
          ) : <Empty title="No rollout yet" command="tidegate demo canary">A rollout moves the traffic of a route, or the share of a flag, in steps that a guardian judges.</Empty>
        }
      </Answer>
      {!!routes.data?.routes?.length && (
        <Section title="Who answers">
          <div className="cards">{routes.data.routes.map((r) => <RouteCard key={r.route.name} r={r} />)}</div>
        </Section>
      )}
      <Section title={rollout ? `Runs of ${rollout}` : "Runs"}>
        <Answer q={runs} skeleton={<Rows n={4} height={56} />}>
          {({ runs }) => runs?.length ? <ul className="list">{runs.map((r) => <RunLine key={r.id} r={r} />)}</ul> : <p className="dim">None yet.</p>}
        </Answer>
      </Section>
    </Page>
  );
}

/** A route with each side's share as a bar. */
function RouteCard({ r }: { r: RouteStatus }) {
  const parts = r.split.sides ?? [];
  return (
    <article className="card" data-testid="route">
      <div className="card-head"><span className="card-title">{r.route.name}</span><code>{r.address}</code></div>
      {parts.length === 0 && <p className="dim">No version is behind it yet.</p>}
      <div className="split" role="img" aria-label={parts.map((p) => `${p.name} ${p.weight} %`).join(", ")}>
        {parts.filter((p) => p.weight > 0).map((p, i) => <span key={p.name} data-side={i} style={{ flexGrow: p.weight }}>{p.name} {p.weight} %</span>)}
      </div>
      <dl className="facts">
        {(r.sides ?? []).map((s) => (
          <div key={`${s.side}@${s.version}`}><dt>{s.side} {s.version && `(${s.version})`}</dt><dd>{count(s.requests)} requests, {count(s.failures)} failed{s.inFlight > 0 && `, ${s.inFlight} under way`}</dd></div>
        ))}
      </dl>
      <p className="dim">reported as <ServiceLink of={{ service: r.route.service, environment: r.route.environment }} /></p>
    </article>
  );
}
