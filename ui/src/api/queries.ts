import { keepPreviousData, QueryClient, useQuery, type UseQueryResult } from "@tanstack/react-query";
import { ApiError, get, seg, url, type Params } from "./client";
import type * as T from "./types";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2000,
      gcTime: 5 * 60_000,
      refetchOnWindowFocus: true,
      // Whatever the caller did wrong stays wrong; only the network heals.
      retry: (n, e) => n < 2 && (!(e instanceof ApiError) || e.status === 0 || e.status >= 502),
      placeholderData: keepPreviousData,
    },
  },
});

/** A window of time in a query: unix seconds, or nothing for the server's default. */
export interface Range {
  from?: number;
  to?: number;
}

function useGet<A>(key: string, path: string | null, params: Params = {}, options: { every?: number; fresh?: boolean } = {}): UseQueryResult<A> {
  const address = path === null ? "" : url(path, params);
  return useQuery<A>({
    queryKey: [key, address],
    queryFn: ({ signal }) => get<A>(address, signal),
    enabled: path !== null,
    refetchInterval: options.every,
    placeholderData: options.fresh ? undefined : keepPreviousData,
  });
}

export const useStatus = () => useGet<T.ServerStatus>("status", "/v1/status", {}, { every: 15_000 });

export const useServices = (r: Range = {}) =>
  useGet<T.Schemas["ServiceList"]>("services", "/v1/services", { ...r }, { every: r.to ? undefined : 15_000 });
export const useService = (name: string, environment: string | undefined, r: Range) =>
  useGet<T.ServiceDetail>("service", `/v1/services/${seg(name)}`, { environment, ...r }, { every: r.to ? undefined : 10_000 });
export const useGraph = (environment: string | undefined, r: Range = {}) =>
  useGet<T.Graph>("graph", "/v1/graph", { environment, ...r }, { every: 15_000 });

export const useEvents = (p: Params, enabled = true) =>
  useGet<T.Schemas["EventList"]>("events", enabled ? "/v1/events" : null, p);

export const useFlags = () => useGet<T.Schemas["FlagList"]>("flags", "/v1/flags");
export const useFlagAudit = (p: Params) => useGet<T.Schemas["FlagHistory"]>("flag-audit", "/v1/flag-audit", p);

export const useGuardians = () => useGet<T.Schemas["GuardianList"]>("guardians", "/v1/guardians");
export const useGuardian = (name: string) => useGet<T.GuardianItem>("guardians", `/v1/guardians/${seg(name)}`, {}, { fresh: true });
export const useGuardianValidations = (name: string, p: Params) =>
  useGet<T.Schemas["ValidationList"]>("validations", `/v1/guardians/${seg(name)}/validations`, p);
export const useValidations = (limit: number) =>
  useGet<T.Schemas["ValidationList"]>("validations", "/v1/validations", { limit });
export const useValidation = (id: string | null) =>
  useGet<T.Validation>("validation", id === null ? null : `/v1/validations/${seg(id)}`, {}, { fresh: true });

export const useTraces = (p: Params) => useGet<T.Schemas["TraceList"]>("traces", "/v1/traces", p);
export const useTrace = (id: string) => useGet<T.Trace>("trace", `/v1/traces/${seg(id)}`, {}, { fresh: true });
export const useTraceLogs = (id: string) =>
  useGet<T.Schemas["LogList"]>("trace-logs", `/v1/traces/${seg(id)}/logs`, {}, { fresh: true });

export const useLoadTests = () => useGet<T.Schemas["LoadTestList"]>("loadtests", "/v1/loadtests");
export const useLoadRuns = (p: Params) => useGet<T.Schemas["LoadTestRuns"]>("loadtest-runs", "/v1/loadtest-runs", p);
export const useLoadRun = (id: string) => useGet<T.LoadRun>("loadtest-run", `/v1/loadtest-runs/${seg(id)}`, {}, { fresh: true });

export const useWorkflows = () => useGet<T.Schemas["WorkflowList"]>("workflows", "/v1/workflows");
export const useWorkflowRuns = (p: Params) => useGet<T.Schemas["WorkflowRuns"]>("workflow-runs", "/v1/workflow-runs", p);
export const useWorkflowRun = (id: string) => useGet<T.WorkflowRun>("workflow-run", `/v1/workflow-runs/${seg(id)}`, {}, { fresh: true });

export const useProblems = (p: Params, every = 15_000) => useGet<T.Schemas["ProblemList"]>("problems", "/v1/problems", p, { every });
export const useProblem = (id: string) => useGet<T.Problem>("problem", `/v1/problems/${seg(id)}`, {}, { fresh: true, every: 15_000 });
export const useHealing = () => useGet<T.HealingStatus>("healing", "/v1/healing", {}, { every: 30_000 });
export const useHealingActions = (p: Params) => useGet<T.Schemas["HealingActions"]>("healing-actions", "/v1/healing/actions", p);
export const useRemedies = (problem: string | null) =>
  useGet<T.Schemas["HealingOptions"]>("remedies", problem === null ? null : `/v1/problems/${seg(problem)}/remedies`, {}, { fresh: true });

export const useRoutes = () => useGet<T.Schemas["RouteList"]>("routes", "/v1/routes", {}, { every: 4000 });
export const useRollouts = () => useGet<T.Schemas["RolloutList"]>("rollouts", "/v1/rollouts");
export const useRolloutRuns = (p: Params) => useGet<T.Schemas["RolloutRuns"]>("rollout-runs", "/v1/rollout-runs", p);
export const useRolloutRun = (id: string) => useGet<T.RolloutRun>("rollout-run", `/v1/rollout-runs/${seg(id)}`, {}, { fresh: true });

export const usePipelines = () => useGet<T.Schemas["PipelineList"]>("pipelines", "/v1/pipelines");
export const usePipeline = (name: string) => useGet<T.PipelineItem>("pipelines", `/v1/pipelines/${seg(name)}`, {}, { fresh: true });
export const useReleases = (pipeline: string | null, p: Params) =>
  useGet<T.Schemas["ReleaseList"]>("releases", pipeline === null ? null : pipeline === "" ? "/v1/releases" : `/v1/pipelines/${seg(pipeline)}/releases`, p);
export const useRelease = (id: string) => useGet<T.Release>("release", `/v1/releases/${seg(id)}`, {}, { fresh: true });
export const useComparisons = (p: Params) => useGet<T.Schemas["ComparisonList"]>("comparisons", "/v1/comparison-validations", p);
export const useComparison = (id: string | null) =>
  useGet<T.Comparison>("comparison", id === null ? null : `/v1/comparison-validations/${seg(id)}`, {}, { fresh: true });
export const useBuildReport = (pipeline: string, comparison: string) =>
  useGet<T.BuildReport>("build-report", comparison ? "/v1/build-report" : null, { pipeline, comparison });

export const useSeries = (query: string | undefined, from: number, to: number) =>
  useGet<T.Schemas["SeriesList"]>("query", query ? "/v1/query" : null, { query, from, to }, { every: 15_000 });
