import { useQueryClient, type Query, type QueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";

export interface Live {
  /** connecting: not yet; live: events arrive; lost: the stream broke, it is tried again. */
  state: "connecting" | "live" | "lost";
  /** When the state began, ms. */
  since: number;
}

const LiveContext = createContext<Live>({ state: "connecting", since: 0 });
export const useLive = () => useContext(LiveContext);

// Which answers go stale when something of a kind happens. The keys are the
// first elements of the query keys in queries.ts.
const concerns: Record<string, string[]> = {
  change: ["events", "service", "audit"],
  validation: ["validations", "guardians", "validation", "services", "service", "events"],
  flag: ["flags", "flag-audit", "events"],
  loadtest: ["loadtests", "loadtest-runs", "loadtest-run", "events"],
  workflow: ["workflows", "workflow-runs", "workflow-run", "events"],
  problem: ["problems", "problem", "events", "remedies"],
  healing: ["healing", "healing-actions", "problem", "remedies", "events"],
  route: ["routes"],
  rollout: ["rollouts", "rollout-runs", "rollout-run", "routes", "events"],
  release: ["pipelines", "releases", "release", "events"],
  comparison: ["comparisons", "comparison", "build-report", "events"],
  manifest: ["guardians", "flags", "loadtests", "workflows", "rollouts", "routes", "pipelines"],
  ingest: ["status", "services", "service", "graph"],
};

// Telemetry arrives all the time; asking again more often than this shows
// nothing new, since metrics are written every two seconds.
const ingestEvery = 4000;

/**
 * Asks again for what is shown. A first answer that is still under way may
 * have been made before the event: it is let through and asked for once more.
 */
function refresh(client: QueryClient, keys?: string[]) {
  const predicate = (q: Query) => !keys || keys.includes(String(q.queryKey[0]));
  for (const q of client.getQueryCache().findAll({ type: "active", predicate })) {
    if (q.state.data === undefined && q.state.fetchStatus === "fetching")
      q.promise?.then(
        () => client.invalidateQueries({ queryKey: q.queryKey, exact: true }),
        () => {}, // its view shows the failure
      );
  }
  void client.invalidateQueries({ predicate });
}

/** Listens to /v1/stream and marks stale what an event concerns. */
export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [live, setLive] = useState<Live>(() => ({ state: "connecting", since: Date.now() }));

  useEffect(() => {
    let source: EventSource | undefined;
    let retry: ReturnType<typeof setTimeout> | undefined;
    let wait = 1000;
    let lastIngest = 0;
    const enter = (state: Live["state"]) =>
      setLive((was) => (was.state === state ? was : { state, since: Date.now() }));

    const refetch = (kind: string) => {
      if (kind === "ingest") {
        if (Date.now() - lastIngest < ingestEvery) return;
        lastIngest = Date.now();
      }
      refresh(client, concerns[kind] ?? []);
    };
    const open = () => {
      source = new EventSource("/v1/stream");
      source.onopen = () => {
        wait = 1000;
        enter("live");
        refresh(client); // what happened before the stream was open
      };
      for (const kind of Object.keys(concerns)) source.addEventListener(kind, () => refetch(kind));
      source.onerror = () => {
        source?.close();
        enter("lost");
        retry = setTimeout(open, wait);
        wait = Math.min(wait * 2, 15_000);
      };
    };
    open();
    return () => {
      source?.close();
      clearTimeout(retry);
    };
  }, [client]);

  return <LiveContext value={live}>{children}</LiveContext>;
}
