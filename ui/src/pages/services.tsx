import { Link } from "react-router";
import { useServices } from "../api/queries";
import { percent, perSecond } from "../format/number";
import { seconds } from "../format/time";
import { Answer, Empty, Page, Rows } from "../parts/Page";
import { RangePicker } from "../parts/RangePicker";
import { useParam, useRange } from "../parts/range";
import { ServiceLink } from "../parts/service";
import { Sparkline } from "../parts/Sparkline";
import { Badge } from "../status/Badge";
import { healthLook, statusLook } from "../status/status";

export default function ServicesPage() {
  const r = useRange();
  const q = useServices(r.range);
  const [find, setFind] = useParam("q");
  const [environment, setEnvironment] = useParam("environment");
  const environments = [...new Set((q.data?.services ?? []).map((s) => s.environment ?? ""))].filter(Boolean).sort();
  return (
    <Page title="Services" lead="Requests, errors and duration of every service that sends spans." aside={<RangePicker r={r} />}>
      <div className="filters">
        <input className="filter" type="search" placeholder="Filter by name" aria-label="Filter by name" value={find} onChange={(e) => setFind(e.currentTarget.value)} />
        {environments.length > 1 && (
          <select className="filter" aria-label="Environment" value={environment} onChange={(e) => setEnvironment(e.currentTarget.value)}>
            <option value="">every environment</option>
            {environments.map((e) => <option key={e}>{e}</option>)}
          </select>
        )}
      </div>
      <Answer q={q} skeleton={<Rows n={8} height={48} />}>
        {({ services }) => {
          const shown = (services ?? []).filter((s) => s.service.toLowerCase().includes(find.toLowerCase()) && (!environment || s.environment === environment));
          if (!services?.length)
            return (
              <Empty title="No service has sent anything in this time" command="OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 OTEL_SERVICE_NAME=my-service ./my-service">
                Point any OpenTelemetry SDK or Collector here.
              </Empty>
            );
          if (!shown.length) return <Empty title={`No service is called “${find}”`} />;
          return (
            <div className="table-scroll">
              <table className="table">
                <thead>
                  <tr><th>Service</th><th>Health</th><th className="r wide">Requests</th><th className="wide" /><th className="r">Errors</th><th className="wide" /><th className="r">p95</th><th className="wide" /><th>Last verdict</th></tr>
                </thead>
                <tbody>
                  {shown.map((s) => (
                    <tr key={`${s.service}/${s.environment}`}>
                      <td><ServiceLink of={s} />{!!s.versions?.length && <span className="dim"> {s.versions.join(", ")}</span>}</td>
                      <td><Badge look={healthLook(s.health)} size="sm" /></td>
                      <td className="r wide">{perSecond(s.requestsPerSecond)}</td>
                      <td className="wide"><Sparkline values={s.series?.rate ?? []} label={`Requests of ${s.service}`} /></td>
                      <td className="r">{percent(s.errorRatio)}</td>
                      <td className="wide"><Sparkline values={s.series?.errors ?? []} tone="fail" atLeast={0.05} label={`Errors of ${s.service}`} /></td>
                      <td className="r">{seconds(s.p95)}</td>
                      <td className="wide"><Sparkline values={s.series?.p95 ?? []} label={`p95 of ${s.service}`} /></td>
                      <td>{s.lastValidation ? <Link className="quiet" to={`/validations/${s.lastValidation.id}`} title={s.lastValidation.headline}><Badge look={statusLook(s.lastValidation.status)} size="sm" /></Link> : <span className="dim">–</span>}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          );
        }}
      </Answer>
    </Page>
  );
}
