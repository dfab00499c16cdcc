import { Button, Skeleton } from "@mantine/core";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { useGuardian, useGuardianValidations } from "../api/queries";
import type { Guardian, Objective, Validation } from "../api/types";
import { percent, quantity } from "../format/number";
import { nanos } from "../format/time";
import { pinAct, trainingAct, validateAct } from "../guardian/acts";
import { Heatmap } from "../guardian/Heatmap";
import { History } from "../guardian/History";
import { ActDialog, type Act } from "../parts/ActDialog";
import { Answer, Empty, Page, Section } from "../parts/Page";
import { useParam } from "../parts/range";
import { ServiceLink } from "../parts/service";
import { Ago } from "../parts/time";
import { Badge } from "../status/Badge";
import { statusLook } from "../status/status";

export default function GuardianPage() {
  const name = useParams().name ?? "";
  const [variant, setVariant] = useParam("variant");
  const [objective, setObjective] = useParam("objective");
  const [act, setAct] = useState<Act | null>(null);
  const g = useGuardian(name);
  const vs = useGuardianValidations(name, { limit: 60 });
  const guardian = g.data?.guardian;
  const variants = [...new Set((vs.data?.validations ?? []).map((v) => v.variant ?? ""))].filter(Boolean).sort();

  return (
    <Page
      title={name}
      lead={guardian ? <>Guardian of <ServiceLink of={guardian.target} />{guardian.description && <> · {guardian.description}</>}</> : <>&nbsp;</>}
      aside={guardian && <Button size="xs" onClick={() => setAct(validateAct(guardian, "1m"))}>Validate the last minute</Button>}
    >
      <Answer q={vs} skeleton={<Skeleton height={360} radius="md" />}>
        {({ validations }) => {
          const shown = (validations ?? []).filter((v) => !variant || v.variant === variant);
          if (!shown.length)
            return (
              <Empty title="Not validated yet" command={`tidegate validate ${name} --last 1m`}>
                After five passing runs the adaptive objectives know what is normal.
              </Empty>
            );
          const drawn = objective || firstAdaptive(guardian) || shown[0]?.verdict?.results?.[0]?.name || "";
          return (
            <>
              {variants.length > 1 && (
                <div className="segments" role="group" aria-label="Variant">
                  <button type="button" aria-pressed={!variant} onClick={() => setVariant("")}>all</button>
                  {variants.map((x) => (
                    <button key={x} type="button" aria-pressed={variant === x} onClick={() => setVariant(x)}>{x}</button>
                  ))}
                </div>
              )}
              <Heatmap objectives={guardian?.objectives ?? []} validations={shown} selected={drawn} onSelect={setObjective} />
              {drawn && <History name={drawn} validations={shown} />}
              <Section title="Validations">
                <ValidationTable validations={shown} onAct={setAct} />
              </Section>
            </>
          );
        }}
      </Answer>
      <Answer q={g} height={160}>{({ guardian }) => <Objectives g={guardian} />}</Answer>
      <ActDialog act={act} onClose={() => setAct(null)} />
    </Page>
  );
}

const firstAdaptive = (g: Guardian | undefined) => g?.objectives?.find((o) => o.adaptive)?.name;

function ValidationTable({ validations, onAct }: { validations: Validation[]; onAct: (a: Act) => void }) {
  return (
    <div className="table-scroll">
      <table className="table">
        <thead>
          <tr><th>#</th><th>Status</th><th>Verdict</th><th className="wide">Purpose</th><th>When</th><th>Training</th></tr>
        </thead>
        <tbody>
          {validations.slice(0, 20).map((v) => (
            <tr key={v.id}>
              <td><Link to={`/validations/${v.id}`}>#{v.number}</Link>{v.pinned && <span title="Reference run"> ★</span>}</td>
              <td><Badge look={statusLook(v.status, v.state)} size="sm" /></td>
              <td className="grow"><Link className="quiet" to={`/validations/${v.id}`}>{v.headline || v.verdict?.summary}</Link></td>
              <td className="wide">{v.tags?.purpose ?? ""}</td>
              <td><Ago at={v.finished ?? v.created} /></td>
              <td className="nowrap">
                {v.state === "finished" && (
                  <div className="segments segments-sm" role="group" aria-label={`Training of #${v.number}`}>
                    <button type="button" aria-pressed={v.training === "accepted"} onClick={() => onAct(trainingAct(v, v.training === "accepted" ? "auto" : "accepted"))}>accept</button>
                    <button type="button" aria-pressed={v.training === "rejected"} onClick={() => onAct(trainingAct(v, v.training === "rejected" ? "auto" : "rejected"))}>reject</button>
                    <button type="button" aria-pressed={!!v.pinned} onClick={() => onAct(pinAct(v))}>{v.pinned ? "unpin" : "pin"}</button>
                  </div>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Objectives({ g }: { g: Guardian }) {
  return (
    <Section title="Objectives">
      <div className="table-scroll">
        <table className="table">
          <thead><tr><th>Objective</th><th>Measures</th><th>Held against</th><th>Role</th></tr></thead>
          <tbody>
            {(g.objectives ?? []).map((o) => (
              <tr key={o.name}>
                <td>{o.name}</td>
                <td>{measures(o)}</td>
                <td>{criterion(o)}</td>
                <td>{o.role || "required"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="dim">
        {g.schedule && <>Validated every {nanos(g.schedule.every)} over the last {nanos(g.schedule.last)}. </>}
        {!!g.variantBy?.length && <>Histories are separate by {g.variantBy.join(", ")}. </>}
      </p>
    </Section>
  );
}

function measures(o: Objective) {
  const i = o.indicator;
  if (!i) return "–";
  const op = (i.latency ?? i.errorRate ?? i.throughput)?.operation;
  const of = op ? <> of <code>{op}</code></> : null;
  if (i.latency) return <>{o.mean ? "mean" : `p${Math.round((o.quantile || 0.95) * 1000) / 10}`} latency{of}</>;
  if (i.errorRate) return <>error rate{of}</>;
  if (i.throughput) return <>throughput{of}</>;
  return <code className="promql">{i.promql}</code>;
}

function inUnit(o: Objective, value: number): string {
  const i = o.indicator;
  const kind = i?.latency ? "distribution" : i?.errorRate ? "ratio" : i?.throughput ? "rate" : "value";
  return quantity(value, kind, i?.unit);
}

function criterion(o: Objective): string {
  const t = o.threshold;
  if (t) return [t.fail && `fails ${t.fail.op} ${inUnit(o, t.fail.value)}`, t.warn && `warns ${t.warn.op} ${inUnit(o, t.warn.value)}`].filter(Boolean).join(", ");
  const tolerance = (x: number | null | undefined) => (x === undefined || x === null ? "" : `, tolerance ${percent(x)}`);
  if (o.adaptive) return `what earlier runs make probable${tolerance(o.adaptive.tolerance)}`;
  if (o.comparison) return `${o.compareTo?.environment ?? o.compareTo?.version ?? o.compareTo?.service ?? "the baseline"}${tolerance(o.comparison.tolerance)}`;
  if (o.watch) return `the baseline, continuously${tolerance(o.watch.tolerance)}`;
  return "nothing (information)";
}
