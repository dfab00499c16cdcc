import { useGraph } from "../api/queries";
import { ServiceMap } from "../map/ServiceMap";
import { Answer, Empty, Page } from "../parts/Page";
import { RangePicker } from "../parts/RangePicker";
import { useParam, useRange } from "../parts/range";

export default function MapPage() {
  const r = useRange();
  const [environment] = useParam("environment");
  const q = useGraph(environment || undefined, r.range);
  return (
    <Page title="Map" lead="Who calls whom, how much, and where it fails." aside={<RangePicker r={r} />}>
      <Answer q={q} height={480}>
        {(g) => (g.nodes?.length ? <ServiceMap g={g} environment={environment} /> : <Empty title="No calls between services in this time" command="make demo">The map draws itself from spans whose parents belong to another service.</Empty>)}
      </Answer>
    </Page>
  );
}
