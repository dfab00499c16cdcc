import { Button } from "@mantine/core";
import { useState } from "react";
import { del, post, seg, url } from "../api/client";
import { useFlagAudit, useFlags } from "../api/queries";
import type { Flag } from "../api/types";
import { ActDialog, type Act } from "../parts/ActDialog";
import { Answer, Empty, Page, Rows, Section } from "../parts/Page";
import { useParam } from "../parts/range";
import { ServiceLink } from "../parts/service";
import { Ago } from "../parts/time";

export default function FlagsPage() {
  const q = useFlags();
  const [key, setKey] = useParam("key");
  const [set] = useParam("set");
  const [act, setAct] = useState<Act | null>(null);
  return (
    <Page title="Flags" lead="What is switched on now, and who switched it. A change works at once, for every client.">
      <Answer q={q} skeleton={<Rows n={6} height={64} />}>
        {({ flags, problems }) =>
          flags?.length || problems?.length ? (
            <ul className="flags">
              {problems?.map((p) => <li key={p} className="failure" role="alert"><div className="failure-text"><strong>A source was refused; the state before stays</strong><p className="mono">{p}</p></div></li>)}
              {sorted(flags ?? []).map((f) => (
                <FlagRow key={`${f.set}/${f.key}`} f={f} selected={f.key === key && (!set || f.set === set)} onAct={setAct} onAudit={() => setKey(key === f.key ? "" : f.key)} />
              ))}
            </ul>
          ) : (
            <Empty title="No flags yet" command="tidegate serve --flags flags.json">
              Flags are flagd definitions, from files or from a Kubernetes ConfigMap.
            </Empty>
          )
        }
      </Answer>
      <Audit keyName={key} set={key ? set : ""} onAll={() => setKey("")} />
      <ActDialog act={act} onClose={() => setAct(null)} />
    </Page>
  );
}

const sorted = (flags: Flag[]) => [...flags].sort((a, b) => Number(!!b.override) - Number(!!a.override) || a.key.localeCompare(b.key) || a.set.localeCompare(b.set));

function FlagRow({ f, selected, onAct, onAudit }: { f: Flag; selected: boolean; onAct: (a: Act) => void; onAudit: () => void }) {
  const variants = Object.keys(f.variants ?? {});
  return (
    <li className="card flag" data-testid="flag" data-key={f.key} data-selected={selected || undefined}>
      <div className="flag-what">
        <div className="flag-name">
          <strong className="mono">{f.key}</strong>
          {f.override && <span className="tag" data-tone="warn">⚑ changed at run time</span>}
          {f.state !== "ENABLED" && <span className="tag">disabled</span>}
          {f.targeting !== undefined && f.targeting !== null && JSON.stringify(f.targeting) !== "{}" && <span className="tag" title={JSON.stringify(f.targeting, null, 1)}>targeted</span>}
        </div>
        <div className="dim">
          {f.metadata?.description && <>{f.metadata.description} · </>}
          set {f.set} · {f.service ? <ServiceLink of={f} /> : "affects no named service"}
        </div>
        {f.override && (
          <div className="dim">
            {f.override.who}: “{f.override.reason}” <Ago at={f.override.at} /> · the source says <code>{f.sourceVariant}</code>{" "}
            <button type="button" className="link" onClick={() => onAct(clearAct(f))}>follow the source again</button>
          </div>
        )}
      </div>
      <div className="flag-act">
        <div className="segments" role="group" aria-label={`Variant of ${f.key}`}>
          {variants.map((v) => (
            <button key={v} type="button" aria-pressed={v === f.defaultVariant} disabled={f.state !== "ENABLED"} title={`${v} = ${JSON.stringify(f.variants?.[v])}`} onClick={() => v !== f.defaultVariant && onAct(setAct(f, v))}>
              {v === f.defaultVariant && <span aria-hidden>● </span>}
              {v}
            </button>
          ))}
        </div>
        <button type="button" className="link" onClick={onAudit} aria-pressed={selected}>history</button>
      </div>
    </li>
  );
}

const production = (f: Flag) => /^prod/i.test(f.environment ?? "");

function setAct(f: Flag, variant: string): Act {
  const key = idempotencyKey(); // one per dialog: pressing again after a lost answer changes nothing
  return {
    title: `Set ${f.key} to ${variant}`,
    effects: [
      <>The default of <code>{f.key}</code> goes from <code>{f.defaultVariant}</code> to <code>{variant}</code> ({JSON.stringify(f.variants?.[variant])}), at once, for every client of set <code>{f.set}</code>. Targeting rules still apply.</>,
      <>{f.service ? <>A change event appears on <b>{f.service}</b>{f.environment && ` (${f.environment})`}</> : "A change event appears on the timeline"}, with an undo to <code>{f.defaultVariant}</code>.</>,
      <>It survives restarts until somebody clears it; {f.source ? <code>{f.source}</code> : "the source"} stays as it is.</>,
    ],
    confirm: `Set ${f.key} to ${variant}`,
    dangerous: production(f),
    typed: production(f) ? f.key : undefined,
    run: (who, reason) =>
      post(`/v1/flags/${seg(f.set)}/${seg(f.key)}`, { variant, who, reason, onFailure: f.defaultVariant, idempotencyKey: key }),
  };
}

function clearAct(f: Flag): Act {
  return {
    title: `Let ${f.key} follow its source`,
    effects: [<><code>{f.key}</code> goes from <code>{f.defaultVariant}</code> to <code>{f.sourceVariant}</code>, what {f.source ? <code>{f.source}</code> : "the source"} says.</>],
    confirm: `Clear the change of ${f.key}`,
    dangerous: production(f),
    run: (who, reason) => del(url(`/v1/flags/${seg(f.set)}/${seg(f.key)}/override`, { who, reason })),
  };
}

// randomUUID exists only on https and localhost.
function idempotencyKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

function Audit({ keyName, set, onAll }: { keyName: string; set: string; onAll: () => void }) {
  const q = useFlagAudit({ key: keyName, set, limit: 50 });
  return (
    <Section title={keyName ? `History of ${keyName}` : "History"} aside={keyName && <Button size="compact-xs" variant="default" onClick={onAll}>Show all</Button>}>
      <Answer q={q} skeleton={<Rows n={3} height={36} />}>
        {({ audit }) =>
          audit?.length ? (
            <div className="table-scroll">
              <table className="table" data-testid="flag-audit">
                <thead><tr><th>When</th><th>Flag</th><th>From → to</th><th>Who</th><th>Reason</th><th>What</th></tr></thead>
                <tbody>
                  {audit.map((a) => (
                    <tr key={a.id}>
                      <td><Ago at={a.at} /></td>
                      <td className="mono nowrap">{a.key}</td>
                      <td className="nowrap"><code>{a.from || "–"} → {a.to || "–"}</code></td>
                      <td>{a.who}</td>
                      <td className="grow">{a.reason}{a.note && <span className="dim"> {a.note}</span>}</td>
                      <td>{a.what}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          ) : (
            <p className="dim">Nobody changed {keyName || "a flag"} yet.</p>
          )
        }
      </Answer>
    </Section>
  );
}
