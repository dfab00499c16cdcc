import { Link } from "react-router";
import { useGuardians } from "../api/queries";
import type { Counts } from "../api/types";
import { Answer, Empty, Page, Rows } from "../parts/Page";
import { ServiceLink } from "../parts/service";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { statuses, statusLook } from "../status/status";

export default function GuardiansPage() {
  const q = useGuardians();
  return (
    <Page title="Guardians" lead="What each service is held to, and how it did last.">
      <Answer q={q} skeleton={<Rows n={4} height={76} />}>
        {({ guardians }) =>
          guardians?.length ? (
            <ul className="cards">
              {guardians.map(({ guardian: g, last, counts }) => (
                <li key={g.name} className="card guardian-card">
                  <div className="card-head">
                    <Link className="card-title" to={`/guardians/${encodeURIComponent(g.name)}`}>{g.name}</Link>
                    <Badge look={statusLook(last?.status, last?.state)} />
                  </div>
                  <div className="dim"><ServiceLink of={g.target} /> · {g.objectives?.length ?? 0} objectives</div>
                  <p className="clamp">
                    {last ? <Link className="quiet" to={`/validations/${last.id}`}>{last.headline || `Validation #${last.number}`}</Link> : <span className="dim">Never validated.</span>}
                  </p>
                  <div className="card-foot dim">
                    <Tally counts={counts ?? {}} />
                    {last && <Ago at={last.finished ?? last.created} />}
                  </div>
                </li>
              ))}
            </ul>
          ) : (
            <Empty title="No guardian yet" command="tidegate apply -f guardian.yaml">
              A guardian is a list of objectives for a service: latency, errors, traffic, or any PromQL.
            </Empty>
          )
        }
      </Answer>
    </Page>
  );
}

/** How often each outcome was. */
export function Tally({ counts }: { counts: Counts }) {
  return (
    <span className="tally">
      {statuses.filter((s) => counts[s]).map((s) => {
        const look = statusLook(s);
        return (
          <span key={s} data-tone={look.tone} title={`${counts[s]} × ${look.word}`}>
            <span aria-hidden>{look.glyph}</span> {counts[s]} <span className="sr">{look.word}</span>
          </span>
        );
      })}
    </span>
  );
}
