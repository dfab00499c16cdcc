// The shapes that the API answers with, by the names the screens use. They
// come from the OpenAPI document (`make ui-types` writes schema.ts): a change
// of the API that the screens do not know is a compile error.
// Times are RFC 3339 strings, durations integer nanoseconds.
import type { components } from "./schema";

type S = components["schemas"];

/** A float64; NaN is null, the infinities are strings. */
export type Num = number | null | undefined | string;
export type Nanos = number;

export type Status = "pass" | "warn" | "fail" | "inconclusive" | "learning" | "info" | "error";
export type Training = S["Post-v1-validations-by-id-trainingRequest"]["decision"];
export type ChangeKind = "deployment" | "flag" | "configuration" | "test" | "validation" | "annotation" | "problem" | "action";

export type Ref = Partial<S["EntityRef"]>;

export type ServerStatus = S["Status"];
/** What the status says about ingestion, within its free-form details. */
export interface Ingest {
  spans: number;
  logs: number;
  points: number;
  refused: number;
  lastSpan?: string;
}

export type ServiceItem = S["Service"];
export type ServiceDetail = S["ServicePage"];
export type GraphNode = S["Service"];
export type GraphEdge = S["Edge"];
export type Graph = S["Graph"];

export type ChangeEvent = S["ChangeEvent"];
export type Flag = S["Flag"];
export type FlagAudit = S["FlagAudit"];

export type Objective = S["GuardianObjective"];
export type Guardian = S["Guardian"];
export type GuardianItem = S["GuardianItem"];
export type Counts = S["GuardianItem"]["counts"];
export type Result = S["JudgeResult"];
export type Verdict = S["JudgeVerdict"];
export type Window = S["GuardianWindow"];
export type Source = S["GuardianSource"];
export type Validation = S["GuardianValidation"];
export type WatchCourse = S["GuardianWatchCourse"];
export type Look = S["GuardianLook"];

export type Frame = S["EvidenceFrame"];
export type Exception = S["TelemetryException"];
export type Exemplar = S["EvidenceExemplar"];
export type FailureGroup = S["EvidenceFailureGroup"];
export type SlowPath = S["EvidenceSlowPath"];
export type LogTemplate = S["EvidenceLogTemplate"];
export type Candidate = S["EvidenceCandidate"];
export type Evidence = S["Evidence"];

export type LogRecord = S["TelemetryLogRecord"];
export type Span = S["TelemetrySpan"];
export type Trace = S["TelemetryTrace"];
export type TraceSummary = S["TelemetryTraceSummary"];

export type LoadTest = S["LoadtestTest"];
export type LoadRun = S["LoadtestRun"];
export type Workflow = S["Workflow"];
export type WorkflowRun = S["WorkflowRun"];
export type StepRun = S["WorkflowStepRun"];
export type Schemas = S;

export type Problem = S["Problem"];
export type ProblemCause = S["ProblemCause"];
export type ProblemSymptom = S["ProblemEvent"];
export type ProblemComment = S["ProblemComment"];
export type HealingAction = S["HealingAction"];
export type HealingOption = S["HealingOption"];
export type HealingStatus = S["HealingStatus"];
export type Objection = S["HealingObjection"];
export type RouteStatus = S["TrafficStatus"];
export type Rollout = S["Rollout"];
export type RolloutRun = S["RolloutRun"];

export type PipelineItem = S["PipelineItem"];
export type PipelineAction = S["PipelineAction"];
export type PipelineVerdict = S["PipelineVerdict"];
export type Release = S["PipelineRelease"];
export type StageRun = S["PipelineStageRun"];
export type ReleaseAction = S["PipelineActionRun"];
/** A build compared with what it is to replace. */
export type Comparison = S["Validation"];
export type BuildReport = S["ValidationBuildReport"];
export type MetricRow = S["ValidationMetricRow"];
