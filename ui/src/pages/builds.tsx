import { Button } from "@mantine/core";
import { Fragment, useEffect, useRef } from "react";
import { Link } from "react-router";
import { url } from "../api/client";
import { useBuildReport, useComparison } from "../api/queries";
import type { BuildReport, Comparison, MetricRow, Num } from "../api/types";
import { num, quantity } from "../format/number";
import { clock, parseTime } from "../format/time";
import { Answer, Empty, Page, Section } from "../parts/Page";
import { useParam } from "../parts/range";
import { Operation } from "../parts/service";
import { Ago } from "../parts/time";
import { allowed, rowName } from "../pipeline/allowed";
import { buildLook } from "../pipeline/look";
import { Badge } from "../status/Badge";

/** Every metric of a comparison over the builds of a pipeline. */
export default function BuildsPage() {
  const [pipeline] = useParam("pipeline");
  const [comparison] = useParam("comparison");
  const q = useBuildReport(pipeline, comparison);
  if (!comparison)
    return <Page title="Builds"><Empty title="Which comparison?" command="tidegate pipeline validate --comparison StagingToProduction --last 5m">Choose one under <Link to="/pipelines">Pipelines</Link>.</Empty></Page>;
  const file = (format: string) => url(`/v1/build-report/${format}`, { pipeline, comparison });
  const name = `${pipeline || "builds"}-${comparison}`;
  return (
    <Page
      title={`Builds by ${comparison}`}
      lead={pipeline ? <Link to={`/pipelines/${encodeURIComponent(pipeline)}`}>{pipeline}</Link> : "of no pipeline"}
      aside={q.data && (
        <div className="buttons">
          <Button component="a" href={file("html")} size="xs" download={`${name}.html`}>Download report</Button>
          <Button component="a" href={file("csv")} size="xs" variant="default" download={`${name}.csv`}>CSV</Button>
          <Button component="a" href={file("json")} size="xs" variant="default" download={`${name}.json`}>JSON</Button>
        </div>
      )}
    >
      <Answer q={q} height={420}>{(r) => <Report r={r} />}</Answer>
    </Page>
  );
}

function Report({ r }: { r: BuildReport }) {
  const [asked, choose] = useParam("build");
  const builds = r.builds ?? [];
  const found = builds.findIndex((b) => b.validation === asked);
  const at = found < 0 ? builds.length - 1 : found;
  const b = builds[at];
  const whole = useComparison(b?.validation ?? null).data;
  if (!b) return null;
  const look = buildLook(b.status);
  return (
    <>
      <div className="verdict" data-tone={look.tone}>
        <Badge look={look} size="lg" />
        <div>
          <p className="verdict-text" data-testid="headline">{b.summary || look.word}</p>
          <p className="dim">{b.build ? `Build ${b.build}` : "A comparison"}{b.stage && ` in ${b.stage}`}, <Ago at={b.at} />{whole?.release && <> · <Link to={`/releases/${whole.release}`}>its release</Link></>}</p>
          {whole && <Sides v={whole} />}
        </div>
      </div>
      <Grid r={r} at={at} choose={(i) => choose(builds[i]!.validation)} />
      <Section title={b.build ? `Build ${b.build}` : "The comparison"}>
        <Metrics rows={r.metrics ?? []} at={at} summary={b.summary} />
      </Section>
    </>
  );
}

/** What was compared with what, and when. */
function Sides({ v }: { v: Comparison }) {
  return (v.sides ?? []).map((s) => (
    <p key={s.signature} className="dim">
      {s.signature}: {s.source} {clock(parseTime(s.sourceWindow.from))} – {clock(parseTime(s.sourceWindow.to))}
      {s.compare && <> against {s.compare} {clock(parseTime(s.compareWindow.from))} – {clock(parseTime(s.compareWindow.to))}</>}
    </p>
  ));
}

/** Metrics × builds, newest right: where a violation began. */
function Grid({ r, at, choose }: { r: BuildReport; at: number; choose: (i: number) => void }) {
  const builds = r.builds ?? [];
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (box.current) box.current.scrollLeft = box.current.scrollWidth;
  }, [builds.length]);
  const row = (key: string, label: string, status: (i: number) => string | undefined, said: (i: number) => string) => (
    <div className="heat-row" role="row" key={key} data-overall={key === "" || undefined}>
      <div className="heat-label" role="rowheader" title={label}><span className="clip">{key === "" ? <strong>{label}</strong> : label}</span></div>
      {builds.map((b, i) => {
        const look = buildLook(status(i));
        return (
          <div role="gridcell" className="heat-cell-box" key={b.validation} data-lit={i === at || undefined}>
            <button type="button" className="heat-cell" data-tone={look.tone} data-empty={!status(i) || undefined} aria-pressed={i === at} aria-label={`${label}, build ${b.build || i + 1}: ${look.word}${said(i)}`} title={`${b.build} ${look.word}${said(i)}`} onClick={() => choose(i)}>
              <span aria-hidden>{look.glyph}</span>
            </button>
          </div>
        );
      })}
    </div>
  );
  return (
    <div className="heat" data-testid="build-grid">
      <div className="heat-scroll" ref={box} role="grid" aria-label="Metrics by build, newest right" data-roomy={builds.length <= 16 || undefined}>
        {row("", "Verdict", (i) => builds[i]!.status, (i) => `. ${builds[i]!.summary}`)}
        {(r.metrics ?? []).map((m) => row(rowKey(m), rowName(m), (i) => m.cells?.[i]?.status, (i) => (m.cells?.[i] ? `. ${m.cells[i]!.why}` : "")))}
      </div>
      <ul className="legend" aria-label="Legend">
        {["ok", "violation", "inconclusive", "error", undefined].map((s) => {
          const look = buildLook(s);
          return <li key={look.word}><span className="heat-cell heat-swatch" data-tone={look.tone} data-empty={!s || undefined} aria-hidden>{look.glyph}</span>{look.word}</li>;
        })}
      </ul>
    </div>
  );
}

const rowKey = (m: MetricRow) => [m.signature, m.metric, m.operation, m.aggregate].join("\n");
const value = (n: Num, unit?: string) => quantity(n, "value", unit);

/** One build, metric by metric: what it is, what it was held against, what is allowed. */
function Metrics({ rows, at, summary }: { rows: MetricRow[]; at: number; summary: string }) {
  const judged = rows.filter((m) => m.cells?.[at]);
  if (!judged.length) return <p className="dim">{summary || "Nothing was measured yet."}</p>;
  return (
    <div className="table-scroll">
      <table className="table" data-testid="build-metrics">
        <thead>
          <tr><th>Metric</th><th className="r">Source</th><th className="r">Compare</th><th className="r">Allowed</th></tr>
        </thead>
        <tbody>
          {judged.map((m) => {
            const c = m.cells![at]!;
            const look = buildLook(c.status);
            const bad = c.status !== "ok" || !!c.warning;
            return (
              <Fragment key={rowKey(m)}>
                <tr data-tone={look.tone}>
                  <td><Badge look={look} size="sm" /> <strong>{rowName({ ...m, operation: undefined })}</strong>{m.operation && <div className="dim"><Operation name={m.operation} /></div>}</td>
                  <td className="r">{c.status === "violation" ? <strong className="toned">{value(c.source, m.unit)}</strong> : value(c.source, m.unit)}</td>
                  <td className="r">{Number.isNaN(num(c.compare)) ? "–" : value(c.compare, m.unit)}</td>
                  <td className="r">{allowed(c, m.unit)}</td>
                </tr>
                {bad && <tr className="table-why"><td colSpan={4}>{c.why}{c.warning && <span className="note"> ! {c.warning}</span>}</td></tr>}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
