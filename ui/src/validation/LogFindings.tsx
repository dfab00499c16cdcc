import { Link } from "react-router";
import type { LogTemplate } from "../api/types";
import { count } from "../format/number";
import { ServiceLink } from "../parts/service";

/** Families of log lines that are new or more frequent. */
export function LogFindings({ logs }: { logs: LogTemplate[] }) {
  return (
    <div className="table-scroll">
      <table className="table">
        <thead><tr><th>Service</th><th>Severity</th><th>Message</th><th className="r">Now</th><th className="r">Before</th><th>Trace</th></tr></thead>
        <tbody>
          {logs.map((l) => (
            <tr key={l.service + l.template}>
              <td><ServiceLink of={{ service: l.service }} /></td>
              <td><span className="severity" data-severity={l.severity}>{l.severity || "–"}</span></td>
              <td className="grow mono" title={l.sample.body}>{l.template} {l.new && <span className="tag" data-tone="fail">new</span>}</td>
              <td className="r">{count(l.count)}</td>
              <td className="r">{count(l.baseline)}</td>
              <td>{l.traceIds?.[0] && <Link to={`/traces/${l.traceIds[0]}`} className="mono">{l.traceIds[0].slice(0, 8)}</Link>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
