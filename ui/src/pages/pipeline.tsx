import { Skeleton } from "@mantine/core";
import { Link, useParams } from "react-router";
import { usePipeline, useReleases } from "../api/queries";
import type { PipelineAction, PipelineItem } from "../api/types";
import { absolute, nanos, parseTime } from "../format/time";
import { Answer, Empty, Page, Rows, Section } from "../parts/Page";
import { useNow } from "../parts/time";
import { reportHref, underWay } from "../pipeline/look";
import { ReleaseLine } from "../pipeline/ReleaseLine";

type Definition = PipelineItem["pipeline"];

/** One pipeline: what is under way, what it consists of, what went through. */
export default function PipelinePage() {
  const name = useParams().name ?? "";
  const q = usePipeline(name);
  return (
    <Page title={name} lead={q.data?.pipeline.description || (q.data ? source(q.data.pipeline) : <>&nbsp;</>)} aside={q.data && <Reports p={q.data.pipeline} />}>
      <Answer q={q} skeleton={<Skeleton height={240} radius="md" />}>{({ pipeline }) => <Body p={pipeline} />}</Answer>
    </Page>
  );
}

function Body({ p }: { p: Definition }) {
  const q = useReleases(p.name, { limit: 100 });
  const now = useNow();
  return (
    <>
      <Answer q={q} skeleton={<Rows n={5} height={70} />}>
        {({ releases }) => {
          const going = (releases ?? []).filter(underWay);
          const done = (releases ?? []).filter((r) => !underWay(r));
          if (!releases?.length) return <Empty title="Nothing was released yet" command={`tidegate pipeline release ${p.name} --version 1.0`}>{source(p)}</Empty>;
          return (
            <>
              {going.length > 0 && <Section title="Under way"><ul className="list">{going.map((r) => <ReleaseLine key={r.id} r={r} />)}</ul></Section>}
              {done.length > 0 && <Section title="History"><ul className="list">{done.map((r) => <ReleaseLine key={r.id} r={r} />)}</ul></Section>}
            </>
          );
        }}
      </Answer>
      <Section title="Stages">
        <ol className="cards">
          {(p.stages ?? []).map((s) => (
            <li key={s.name} className="card">
              <div className="card-head"><span className="card-title">{s.name}</span>{s.environment && s.environment !== s.name && <span className="tag">{s.environment}</span>}</div>
              <ol className="action-words">{(s.actions ?? []).map((a) => <li key={a.name}>{a.group ? "∥ " : ""}{inWords(a)}</li>)}</ol>
              {s.onFail === "rollback" && <p className="dim">Taken back when it ends badly.</p>}
              {(p.freeze ?? []).filter((f) => f.weekly || parseTime(f.to) > now).filter((f) => !f.stages?.length || f.stages.includes(s.name)).map((f, i) => (
                <p key={i} className="note">
                  ❄ Frozen {f.weekly ? `${f.weekly} ${f.zone ?? "UTC"}` : `${absolute(parseTime(f.from))} – ${absolute(parseTime(f.to))}`}{f.reason && `: ${f.reason}`}
                </p>
              ))}
            </li>
          ))}
        </ol>
        <p className="dim">{source(p)} {p.newer === "queue" ? "Releases enter a stage in their order." : "A newer release overtakes older ones that wait for the same stage."}</p>
      </Section>
    </>
  );
}

function source(p: Definition): string {
  const s = p.source;
  if (s?.git) return `Every new head of ${s.git.branch || "main"} in ${s.git.repository} is released.`;
  if (s?.directory) return `Whatever is put into ${s.directory} is released.`;
  if (s?.file) return `${s.file} is released whenever its content changes.`;
  return "Versions are pushed to it.";
}

/** An action as a sentence would say it. */
function inWords(a: PipelineAction): string {
  if (a.deploy) return `deploy ${a.deploy.app} with ${a.deploy.with}`;
  if (a.loadTest) return `load test ${a.loadTest.test}`;
  if (a.event) return `event ${a.event.type}`;
  if (a.validate?.comparison) return `compare ${a.validate.comparison}${a.validate.in ? `, in ${nanos(a.validate.in)}` : ""}`;
  if (a.validate) return `validate ${a.validate.guardian}${a.validate.last ? `, the last ${nanos(a.validate.last)}` : ""}${a.validate.next ? `, the next ${nanos(a.validate.next)}` : ""}`;
  if (a.approve) return `approve: ${(a.approve.by ?? []).join(" or ")}`;
  if (a.command) return `command ${(a.command.args ?? []).join(" ")}`;
  return a.webhook ? `webhook ${a.webhook.url}` : a.name;
}

/** The reports of the comparisons that the pipeline asks for. */
function Reports({ p }: { p: Definition }) {
  const names = new Set((p.stages ?? []).flatMap((s) => (s.actions ?? []).flatMap((a) => a.validate?.comparison ?? [])));
  return <div className="buttons">{[...names].map((c) => <Link key={c} to={reportHref(p.name, c)}>Builds by {c}</Link>)}</div>;
}
