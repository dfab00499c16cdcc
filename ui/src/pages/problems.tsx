import { SegmentedControl, Select } from "@mantine/core";
import { useProblems } from "../api/queries";
import { Answer, Empty, Page, Rows } from "../parts/Page";
import { useParam } from "../parts/range";
import { ProblemLine } from "../problem/ProblemLine";
import { severityNames } from "../problem/look";

/** What hurts users, open ones first. */
export default function ProblemsPage() {
  const [state, setState] = useParam("state");
  const [severity, setSeverity] = useParam("severity");
  const [service] = useParam("service");
  const [environment] = useParam("environment");
  const q = useProblems({ state, severity, service, environment, limit: 100 });
  return (
    <Page
      title="Problems"
      lead="Noticed by themselves, or told by other monitors: whom they hurt, why, and what was done."
      aside={
        <div className="buttons">
          <SegmentedControl size="xs" value={state} onChange={setState} data={[{ label: "All", value: "" }, { label: "Open", value: "open" }, { label: "Over", value: "closed" }]} aria-label="State" />
          <Select size="xs" clearable placeholder="Any severity" value={severity || null} onChange={(v) => setSeverity(v ?? "")} data={severityNames} aria-label="Severity" />
        </div>
      }
    >
      {(service || environment) && <p className="dim">Only {[service, environment].filter(Boolean).join(" in ")}.</p>}
      <Answer q={q} skeleton={<Rows n={5} height={72} />}>
        {({ problems }) =>
          problems?.length ? (
            <ul className="list">
              {[...problems].sort((a, b) => Number(a.state === "closed") - Number(b.state === "closed")).map((p) => <ProblemLine key={p.id} p={p} />)}
            </ul>
          ) : state || severity || service ? (
            <p className="dim">None like that.</p>
          ) : (
            <Empty title="No problem so far" command="tidegate demo self-healing">Every service is watched as soon as it sends traces. Nothing has to be configured.</Empty>
          )
        }
      </Answer>
    </Page>
  );
}
