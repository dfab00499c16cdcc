// The shapes that the API answers with: the JSON of the domain packages.
// Times are RFC 3339 strings, durations integer nanoseconds.

/** A float64 whose NaN is null and whose infinities are strings. */
export type Num = number | null | "+Inf" | "-Inf";
export type Nanos = number;

export type Status = "pass" | "warn" | "fail" | "inconclusive" | "learning" | "info" | "error";

export interface Ref {
  service?: string;
  environment?: string;
  version?: string;
}

export interface ServerStatus {
  version: string;
  started: string;
  uptimeSeconds: number;
  uiBuilt: boolean;
  ingest?: { spans: number; logs: number; points: number; refused: number; lastSpan?: string };
  storage?: Record<string, unknown>;
  readOnlyAuth?: boolean;
}

export interface Series {
  t: number[];
  rate: (number | null)[];
  errors: (number | null)[];
  p95: (number | null)[];
}

export type Health = "ok" | "degraded" | "failing" | "unknown";

export interface ValidationBrief {
  id: string;
  guardian: string;
  number: number;
  status?: Status;
  headline?: string;
  finished?: string;
}

export interface ServiceItem {
  service: string;
  environment?: string;
  versions?: string[] | null;
  requestsPerSecond: number;
  errorRatio: number;
  p50: number | null;
  p95: number | null;
  series?: Series | null;
  health: Health;
  lastValidation?: ValidationBrief | null;
}

export interface Neighbour {
  service: string;
  requestsPerSecond: number;
  errorRatio: number;
}

export interface ServiceDetail extends ServiceItem {
  operations?:
    | { operation: string; kind: string; requestsPerSecond: number; errorRatio: number; p50: number | null; p95: number | null }[]
    | null;
  upstream?: Neighbour[] | null;
  downstream?: Neighbour[] | null;
  versionsDetail?: { version: string; requestsPerSecond: number; errorRatio: number; p95: number | null }[] | null;
  changes?: ChangeEvent[] | null;
  validations?: Validation[] | null;
}

export interface GraphNode {
  service: string;
  requestsPerSecond: number;
  errorRatio: number;
  p95: number | null;
  health: Health;
}
export interface GraphEdge {
  client: string;
  server: string;
  requestsPerSecond: number;
  errorRatio: number;
  p95: number | null;
}
export interface Graph {
  nodes?: GraphNode[] | null;
  edges?: GraphEdge[] | null;
}

export type ChangeKind =
  | "deployment"
  | "flag"
  | "configuration"
  | "test"
  | "validation"
  | "annotation"
  | "problem"
  | "action";

export interface Undo {
  kind: "flag" | "webhook";
  flagSet?: string;
  flagKey?: string;
  variant?: string;
  url?: string;
}

export interface ChangeEvent extends Ref {
  id: string;
  type: string;
  kind: ChangeKind;
  title: string;
  who?: string;
  reason?: string;
  source?: string;
  start: string;
  end?: string;
  received?: string;
  selector?: string;
  entities?: Ref[] | null;
  key?: string;
  from?: string;
  to?: string;
  properties?: Record<string, string> | null;
  links?: { title: string; url: string }[] | null;
  undo?: Undo | null;
  undoOf?: string;
  correlation?: string;
}

export interface Flag {
  set: string;
  key: string;
  state: string;
  variants: Record<string, unknown> | null;
  defaultVariant: string;
  sourceVariant: string;
  targeting?: unknown;
  metadata?: Record<string, string> | null;
  service?: string;
  environment?: string;
  source: string;
  override?: { variant: string; who: string; reason: string; at: string; eventId: string } | null;
}

export interface FlagAudit {
  id: string;
  set: string;
  key: string;
  from: string;
  to: string;
  who: string;
  reason: string;
  at: string;
  eventId?: string;
  what: string;
  note?: string;
}

export interface Limit {
  op: string;
  value: number;
}

export interface Objective {
  name: string;
  worse?: "higher" | "lower" | "either";
  role?: "required" | "key" | "info";
  weight?: number;
  quantile?: number;
  mean?: boolean;
  threshold?: { fail?: Limit | null; warn?: Limit | null; minSamples?: number; confidence?: number } | null;
  adaptive?: { minRuns?: number; tolerance?: number | null } | null;
  comparison?: { tolerance?: number | null; point?: boolean } | null;
  watch?: { tolerance?: number | null } | null;
  indicator?: {
    latency?: { operation?: string } | null;
    errorRate?: { operation?: string } | null;
    throughput?: { operation?: string } | null;
    promql?: string;
    unit?: string;
  };
  compareTo?: Ref | null;
  shift?: Nanos;
}

export interface Guardian {
  name: string;
  labels?: Record<string, string> | null;
  description?: string;
  target: Ref;
  objectives: Objective[] | null;
  variantBy?: string[] | null;
  settle?: Nanos;
  schedule?: { every: Nanos; last: Nanos } | null;
}

export type Counts = Partial<Record<Status, number>>;

export interface GuardianItem {
  guardian: Guardian;
  last?: Validation | null;
  counts?: Counts | null;
}

export interface Result {
  name: string;
  status: Status;
  role: "required" | "key" | "info";
  kind: "ratio" | "rate" | "distribution" | "value";
  criterion: string;
  unit?: string;
  statistic: string;
  estimate: Num;
  low: Num;
  high: Num;
  limit: Num;
  limitLow: Num;
  warn: Num;
  baseline: Num;
  n: number;
  mde: Num;
  needed?: number;
  pValue: Num;
  eValue: Num;
  inflation: number;
  learned?: number;
  notes?: string[] | null;
  why: string;
}

export interface Verdict {
  status: Status;
  summary: string;
  score?: number | null;
  alpha: number;
  results: Result[] | null;
}

export interface Window {
  from: string;
  to: string;
}

export interface Source {
  objective: string;
  queries: string[] | null;
  window: Window;
  series?: [Num, Num][] | null;
}

export type Training = "auto" | "accepted" | "rejected";

export interface Validation {
  id: string;
  guardian: string;
  target: Ref;
  number: number;
  variant?: string;
  tags?: Record<string, string> | null;
  window: Window;
  state: "pending" | "running" | "finished";
  trigger: string;
  who?: string;
  eventId?: string;
  created: string;
  started?: string;
  finished?: string;
  status?: Status;
  verdict?: Verdict | null;
  sources?: Source[] | null;
  evidence?: Evidence | null;
  headline?: string;
  training: Training;
  pinned?: boolean;
}

export interface Frame {
  function: string;
  file?: string;
  line?: number;
  inApp: boolean;
}
export interface Hop {
  service: string;
  operation: string;
  kind?: string;
}
export interface Exception {
  type: string;
  message: string;
  stacktrace?: string;
}
export interface Exemplar {
  traceId: string;
  spanId: string;
  time: string;
  duration: Nanos;
  exception?: Exception | null;
  frames?: Frame[] | null;
}
export interface FailureGroup {
  signature: string;
  service: string;
  operation: string;
  exceptionType?: string;
  message?: string;
  stackTop?: Frame | null;
  path: Hop[] | null;
  count: number;
  share: number;
  firstSeen: string;
  lastSeen: string;
  seenBefore: boolean;
  exemplars: Exemplar[] | null;
}
export interface SlowPath {
  service: string;
  operation: string;
  candidate: Nanos;
  baseline: Nanos;
  exemplars?: Exemplar[] | null;
}
export interface LogTemplate {
  service: string;
  severity: string;
  template: string;
  count: number;
  baseline: number;
  new: boolean;
  sample: LogRecord;
  traceIds?: string[] | null;
}
export interface Candidate {
  event: ChangeEvent;
  on: Ref;
  secondsBeforeFirstFailure: number;
  likely: boolean;
  score: number;
  why: string;
}
export interface Evidence {
  failures?: FailureGroup[] | null;
  failedTraces: number;
  truncated?: boolean;
  firstFailure?: string;
  slow?: SlowPath[] | null;
  logs?: LogTemplate[] | null;
  changes?: Candidate[] | null;
  gaps?: string[] | null;
}

export interface LogRecord extends Ref {
  time: string;
  severity?: string;
  severityNumber?: number;
  body: string;
  traceId?: string;
  spanId?: string;
  attributes?: Record<string, unknown> | null;
  resource?: Record<string, unknown> | null;
}

export interface Span extends Ref {
  traceId: string;
  spanId: string;
  parentId?: string;
  name: string;
  kind: string;
  scope?: string;
  start: string;
  duration: Nanos;
  status: "unset" | "ok" | "error";
  statusMessage?: string;
  attributes?: Record<string, unknown> | null;
  resource?: Record<string, unknown> | null;
  events?: { name: string; time: string; attributes?: Record<string, unknown> | null }[] | null;
  links?: { traceId: string; spanId: string }[] | null;
}
export interface Trace {
  traceId: string;
  spans: Span[] | null;
}
export interface TraceSummary {
  traceId: string;
  service: string;
  operation: string;
  start: string;
  duration: Nanos;
  spans: number;
  errors: number;
  services: string[] | null;
  exception?: Exception | null;
}

export interface LoadTest {
  name: string;
  labels?: Record<string, string> | null;
  target: Ref;
  purpose?: string;
  request?: { method?: string; url: string } | null;
  command?: { args: string[] } | null;
  duration?: Nanos;
  stages?: { to: number; over: Nanos }[] | null;
}
export interface LoadRun {
  id: string;
  test: string;
  target: Ref;
  purpose?: string;
  tool: string;
  who?: string;
  state: "running" | "finished" | "failed" | "cancelled" | "lost";
  started: string;
  finished?: string;
  error?: string;
  result?: {
    requests: number;
    failures: number;
    rate: number;
    mean: Nanos;
    p50: Nanos;
    p90: Nanos;
    p99: Nanos;
    max: Nanos;
    codes?: Record<string, number> | null;
    errors?: Record<string, number> | null;
    dropped?: number;
    extra?: unknown;
  } | null;
  output?: string;
}

export type StepState = "pending" | "running" | "done" | "skipped" | "failed";
export interface Workflow {
  name: string;
  labels?: Record<string, string> | null;
  on: { event: string; if?: string };
  steps: { name: string; if?: string; always?: boolean }[] | null;
}
export interface StepRun {
  name: string;
  kind: string;
  state: StepState;
  input?: unknown;
  output?: unknown;
  error?: string;
  attempts?: number;
  started?: string;
  finished?: string;
}
export interface WorkflowRun {
  id: string;
  workflow: string;
  definition?: Workflow;
  event: ChangeEvent;
  state: StepState;
  started: string;
  finished?: string;
  steps: StepRun[] | null;
  error?: string;
}
