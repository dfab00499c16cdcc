import { Link } from "react-router";
import { useComparisons, usePipelines } from "../api/queries";
import { Answer, Empty, Page, Rows, Section } from "../parts/Page";
import { Ago } from "../parts/time";
import { buildLook, releaseLook, reportHref } from "../pipeline/look";
import { ReleaseLine } from "../pipeline/ReleaseLine";
import { Badge } from "../status/Badge";
import type { Comparison } from "../api/types";

/** How versions get from a commit to their users. */
export default function PipelinesPage() {
  const q = usePipelines();
  return (
    <Page title="Pipelines" lead="Every version is deployed, tested, judged and approved, stage by stage.">
      <Answer q={q} skeleton={<Rows n={3} height={120} />}>
        {({ pipelines }) =>
          pipelines?.length ? (
            <ul className="cards pipeline-cards">
              {pipelines.map(({ pipeline: p, releases }) => (
                <li key={p.name} className="card" data-testid="pipeline">
                  <div className="card-head">
                    <Link className="card-title" to={`/pipelines/${encodeURIComponent(p.name)}`}>{p.name}</Link>
                    {releases?.[0] && <Badge look={releaseLook(releases[0].state)} size="sm" />}
                  </div>
                  {p.description && <p className="dim">{p.description}</p>}
                  <ol className="steps-inline">{(p.stages ?? []).map((s) => <li key={s.name}>{s.name}</li>)}</ol>
                  {releases?.length ? <ul className="list">{releases.slice(0, 3).map((r) => <ReleaseLine key={r.id} r={r} />)}</ul> : <p className="dim">No release yet.</p>}
                </li>
              ))}
            </ul>
          ) : (
            <Empty title="No pipeline yet" command="tidegate apply -f pipeline.yaml">
              A pipeline says where versions come from, and through which stages of deployments, tests, verdicts and approvals they go.
            </Empty>
          )
        }
      </Answer>
      <Builds />
    </Page>
  );
}

/** The newest verdict of every comparison, leading to its report. */
function Builds() {
  const list = useComparisons({ limit: 100 }).data?.validations ?? [];
  const newest = new Map<string, Comparison>();
  for (const v of list) {
    const key = `${v.pipeline ?? ""}\n${v.comparison}`;
    if (!newest.has(key)) newest.set(key, v);
  }
  if (newest.size === 0) return null;
  return (
    <Section title="Builds compared">
      <ul className="list">
        {[...newest].map(([key, v]) => (
          <li key={key} className="verdict-line" data-testid="compared">
            <Badge look={buildLook(v.status)} size="sm" />
            <div>
              <Link to={reportHref(v.pipeline ?? "", v.comparison)}>{v.pipeline || "without a pipeline"}: {v.comparison}</Link>
              <div>{v.summary}</div>
              <div className="dim event-meta">{v.build && <span>build {v.build}</span>}<Ago at={v.created} /></div>
            </div>
          </li>
        ))}
      </ul>
    </Section>
  );
}
