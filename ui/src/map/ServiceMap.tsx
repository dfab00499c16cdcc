import { useMemo, useState } from "react";
import { useNavigate } from "react-router";
import type { Graph } from "../api/types";
import { percent, perSecond } from "../format/number";
import { seconds } from "../format/time";
import { serviceHref } from "../parts/service";
import { healthLook } from "../status/status";
import { box, place } from "./layout";

/** The service graph; with a path, the calls along it stand out and the rest steps back. */
export function ServiceMap({ g, environment, path }: { g: Graph; environment: string; path?: string[] }) {
  const navigate = useNavigate();
  const [over, setOver] = useState("");
  const edges = g.edges ?? [];
  const d = useMemo(() => place(g.nodes ?? [], g.edges ?? []), [g]);
  const most = Math.max(...edges.map((e) => e.requestsPerSecond ?? 0), 1e-9);
  const pad = 14;
  return (
    <div className="map">
      <svg
        viewBox={`${-pad} ${-pad} ${d.width + 2 * pad} ${d.height + 2 * pad}`}
        style={{ maxWidth: Math.max(d.width + 2 * pad, 320) * 1.15, minWidth: d.width * 0.72 }}
        role="img"
        aria-label={`Service map: ${d.places.size} services, ${edges.length} connections`}
      >
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" markerUnits="userSpaceOnUse">
            <path d="M0 0L8 4L0 8z" fill="context-stroke" />
          </marker>
        </defs>
        {edges.map((e) => {
          const a = d.places.get(e.client)!;
          const b = d.places.get(e.server)!;
          const line = curve(a, b);
          const failing = (e.errorRatio ?? 0) >= 0.01;
          const share = Math.sqrt((e.requestsPerSecond ?? 0) / most);
          const width = 1.2 + 4 * share;
          const on = path ? alongPath(path, e.client, e.server) : false;
          const far = over !== "" ? over !== e.client && over !== e.server : path !== undefined && !on;
          return (
            <g key={`${e.client}>${e.server}`} className="map-edge" data-failing={failing || undefined} data-far={far || undefined} data-path={on || undefined}>
              <title>{`${e.client} → ${e.server}: ${perSecond(e.requestsPerSecond)}, ${percent(e.errorRatio)} errors, p95 ${seconds(e.p95)}`}</title>
              <path d={line} strokeWidth={width} markerEnd="url(#arrow)" />
              <path d={line} className="map-flow" strokeWidth={Math.max(width - 1, 1)} style={{ animationDuration: `${Math.max(0.6, 4 - 3 * share)}s` }} />
              {failing && (
                <text x={(a.x + b.x + box.width) / 2} y={(a.y + b.y + box.height) / 2 - 5} textAnchor="middle">✕ {percent(e.errorRatio)}</text>
              )}
            </g>
          );
        })}
        {[...d.places.values()].map(({ node: n, x, y }) => {
          const look = healthLook(n.health);
          return (
            <g
              key={n.service}
              className="map-node"
              data-tone={look.tone}
              data-far={(path !== undefined && !path.includes(n.service)) || undefined}
              data-path={path?.includes(n.service) || undefined}
              transform={`translate(${x} ${y})`}
              tabIndex={0}
              role="link"
              aria-label={`${n.service}, ${look.word}, ${perSecond(n.requestsPerSecond)}, ${percent(n.errorRatio)} errors`}
              onClick={() => void navigate(serviceHref({ service: n.service, environment: environment || undefined }))}
              onKeyDown={(e) => e.key === "Enter" && void navigate(serviceHref({ service: n.service, environment: environment || undefined }))}
              onMouseEnter={() => setOver(n.service)}
              onMouseLeave={() => setOver("")}
              onFocus={() => setOver(n.service)}
              onBlur={() => setOver("")}
            >
              <rect width={box.width} height={box.height} rx="6" />
              <rect className="map-tone" width="5" height={box.height} rx="2.5" />
              <text className="map-glyph" x="18" y="23" textAnchor="middle">{look.glyph}</text>
              <text className="map-name" x="30" y="23">{n.service.length > 17 ? `${n.service.slice(0, 16)}…` : n.service}</text>
              <text className="map-sub" x="14" y="43">{perSecond(n.requestsPerSecond)} · {percent(n.errorRatio)} · {seconds(n.p95)}</text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

/** Whether a call leads from one service of the path to the next. */
export function alongPath(path: string[], client: string, server: string): boolean {
  return path.some((s, i) => s === client && path[i + 1] === server);
}

function curve(a: { x: number; y: number }, b: { x: number; y: number }): string {
  const [x1, y1, x2, y2] = [a.x + box.width, a.y + box.height / 2, b.x, b.y + box.height / 2];
  if (x2 < x1) return `M${x1} ${y1}C${x1 + 60} ${y1 + 70} ${x2 - 60} ${y2 + 70} ${x2} ${y2}`;
  const m = (x1 + x2) / 2;
  return `M${x1} ${y1}C${m} ${y1} ${m} ${y2} ${x2} ${y2}`;
}
