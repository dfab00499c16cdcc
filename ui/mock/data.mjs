// A believable shop for developing the screens without a server: five training
// runs, a passing one, the flag flip, the failing acceptance test, the
// verification. Development and tests only; nothing of this is shipped.
const now = Date.now();
const iso = (ms) => new Date(ms).toISOString();
const hex = (n, seed) => {
  let s = "";
  let x = seed * 2654435761 + 12345;
  while (s.length < n) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    s += x.toString(16).padStart(8, "0");
  }
  return s.slice(0, n);
};
const ms = 1e6; // nanoseconds

export const names = ["frontend", "checkout", "cart", "productcatalog", "currency", "shipping", "payment", "email"];
const rps = { frontend: 20, checkout: 20, cart: 40, productcatalog: 61, currency: 44, shipping: 40, payment: 20, email: 10 };
const p95 = { frontend: 0.182, checkout: 0.141, cart: 0.009, productcatalog: 0.012, currency: 0.004, shipping: 0.021, payment: 0.048, email: 0.031 };
const err = { frontend: 0.02, checkout: 0.02, payment: 0.019 };

const flipAt = now - 8 * 60_000;
const undoAt = flipAt + 118_000;
const series = (s, n = 90) => {
  const t = Array.from({ length: n }, (_, i) => Math.floor((now - (n - i) * 10_000) / 1000));
  const wobble = (i, k) => 1 + 0.08 * Math.sin(i / k) + 0.05 * Math.sin(i * 1.7);
  const bad = (x) => x * 1000 > flipAt && x * 1000 < undoAt && err[s];
  return {
    t,
    rate: t.map((_, i) => rps[s] * wobble(i, 9)),
    errors: t.map((x) => (bad(x) ? 0.49 : 0)),
    p95: t.map((x, i) => (i === 20 ? null : p95[s] * wobble(i, 5) * (bad(x) ? 0.8 : 1))),
  };
};

const target = { service: "checkout", environment: "dev" };
export const services = names.map((service) => ({
  service,
  environment: "dev",
  versions: [service === "checkout" ? "2.0.1" : "1.4.0"],
  requestsPerSecond: rps[service],
  errorRatio: err[service] ?? 0,
  p50: p95[service] / 3,
  p95: p95[service],
  series: series(service),
  health: err[service] ? "degraded" : "ok",
}));

const pairs = [["frontend", "checkout"], ["frontend", "cart"], ["frontend", "productcatalog"], ["checkout", "cart"], ["checkout", "productcatalog"], ["checkout", "currency"], ["checkout", "shipping"], ["checkout", "payment"], ["checkout", "email"]];
export const graph = {
  nodes: services.map(({ service, requestsPerSecond, errorRatio, p95, health }) => ({ service, requestsPerSecond, errorRatio, p95, health })),
  edges: pairs.map(([client, server]) => ({ client, server, requestsPerSecond: rps[server] / 2, errorRatio: server === "payment" ? 0.019 : 0, p95: p95[server] })),
};

export const flags = [
  { set: "shop", key: "paymentServiceFailure", state: "ENABLED", variants: { on: true, off: false }, defaultVariant: "off", sourceVariant: "off", metadata: { service: "payment", description: "Fail half of the charges" }, service: "payment", environment: "dev", source: "demo/shop/flags.json" },
  { set: "shop", key: "cartServiceFailure", state: "ENABLED", variants: { on: true, off: false }, defaultVariant: "off", sourceVariant: "off", service: "cart", environment: "dev", source: "demo/shop/flags.json" },
  { set: "shop", key: "imageSlowLoad", state: "ENABLED", variants: { off: 0, "5sec": 5000, "10sec": 10000 }, defaultVariant: "off", sourceVariant: "off", service: "frontend", environment: "dev", source: "demo/shop/flags.json" },
  { set: "shop", key: "recommendationCache", state: "DISABLED", variants: { on: true, off: false }, defaultVariant: "off", sourceVariant: "off", targeting: { if: [{ ends_with: [{ var: "email" }, "@example.com"] }, "on", null] }, source: "demo/shop/flags.json" },
];

const stack = `paymentservice.ChargeError: Invalid token. Charge is declined.
\tat main.(*server).Charge (/shop/payment/charge.go:58)
\tat main._PaymentService_Charge_Handler (/shop/pb/shop_grpc.pb.go:412)
\tat google.golang.org/grpc.(*Server).processUnaryRPC (/go/pkg/mod/google.golang.org/grpc@v1.85.0/server.go:1405)
\tat google.golang.org/grpc.(*Server).handleStream (/go/pkg/mod/google.golang.org/grpc@v1.85.0/server.go:1815)`;
const exception = { type: "paymentservice.ChargeError", message: "Invalid token. Charge is declined.", stacktrace: stack };

function makeTrace(k, failing, at) {
  const traceId = hex(32, k + 1);
  const spans = [];
  const add = (service, name, kind, parent, from, dur, extra = {}) => {
    const spanId = hex(16, k * 100 + spans.length + 7);
    spans.push({ traceId, spanId, ...(parent ? { parentId: parent } : {}), service, environment: "dev", version: services.find((s) => s.service === service).versions[0], name, kind, scope: "go.opentelemetry.io/contrib/instrumentation", start: iso(at + from).replace("Z", "123Z"), duration: dur * ms, status: "unset", attributes: { "rpc.system": "grpc", "net.peer.port": 8080 + spans.length, "app.order.id": `o-${k}` }, resource: { "service.name": service, "telemetry.sdk.language": "go", "host.name": "demo" }, events: [], ...extra });
    return spanId;
  };
  const bad = failing ? { status: "error", statusMessage: "rpc error: code = Unknown desc = Invalid token. Charge is declined." } : {};
  const root = add("frontend", "POST /api/checkout", "server", null, 0, 132, failing ? { status: "error", statusMessage: "500 Internal Server Error" } : {});
  const c1 = add("frontend", "hipstershop.CheckoutService/PlaceOrder", "client", root, 2, 126, bad);
  const c = add("checkout", "hipstershop.CheckoutService/PlaceOrder", "server", c1, 3, 124, bad);
  let t = 5;
  for (const [s, op, d] of [["cart", "hipstershop.CartService/GetCart", 6], ["productcatalog", "hipstershop.ProductCatalogService/GetProduct", 9], ["currency", "hipstershop.CurrencyService/Convert", 3], ["shipping", "hipstershop.ShippingService/GetQuote", 17]]) {
    const cl = add("checkout", op, "client", c, t, d);
    add(s, op, "server", cl, t + 0.6, d - 1.2);
    t += d + 1;
  }
  const pc = add("checkout", "hipstershop.PaymentService/Charge", "client", c, t, 52, bad);
  add("payment", "hipstershop.PaymentService/Charge", "server", pc, t + 1, 50, failing ? { ...bad, events: [{ name: "exception", time: iso(at + t + 44), attributes: { "exception.type": exception.type, "exception.message": exception.message, "exception.stacktrace": stack } }] } : { events: [{ name: "charged", time: iso(at + t + 44), attributes: { "card.type": "visa" } }] });
  if (!failing) {
    const e = add("checkout", "hipstershop.EmailService/SendOrderConfirmation", "client", c, t + 54, 24);
    add("email", "hipstershop.EmailService/SendOrderConfirmation", "server", e, t + 55, 22);
  }
  return { traceId, spans };
}

export const traces = Array.from({ length: 30 }, (_, k) => makeTrace(k, k % 3 === 0, flipAt + 41_000 + k * 1800));

export const summary = (t) => {
  const failed = t.spans.filter((s) => s.status === "error");
  return { traceId: t.traceId, service: t.spans[0].service, operation: t.spans[0].name, start: t.spans[0].start, duration: t.spans[0].duration, spans: t.spans.length, errors: failed.length, services: [...new Set(t.spans.map((s) => s.service))], ...(failed.length ? { exception: { type: exception.type, message: exception.message } } : {}) };
};

const flip = { id: "evt-flip", type: "flag.changed", kind: "flag", title: "paymentServiceFailure on", who: "mara", reason: "testing the new payment provider", source: "tidegate", start: iso(flipAt), service: "payment", environment: "dev", key: "paymentServiceFailure", from: "off", to: "on", undo: { kind: "flag", flagSet: "shop", flagKey: "paymentServiceFailure", variant: "off" }, properties: { set: "shop" } };

const results = (kind, n, opts = {}) => {
  const fail = kind === "fail";
  const learning = kind === "learning";
  const base = { low: null, high: null, limitLow: null, warn: null, baseline: null, mde: null, pValue: null, eValue: null, inflation: 1.2, n: 1204 };
  const jitter = Math.sin(n * 3) * 0.008;
  return [
    { ...base, name: "latency", status: "pass", role: "required", kind: "distribution", unit: "s", criterion: "threshold", statistic: "p95", estimate: 0.141 + jitter, low: 0.134 + jitter, high: 0.149 + jitter, limit: 0.2, warn: 0.18, why: "p95 of 141 ms is under the limit of 200 ms." },
    { ...base, name: "errors", status: fail ? "fail" : learning ? "learning" : "pass", role: "key", kind: "ratio", criterion: "adaptive", statistic: "error rate", estimate: fail ? 0.4961 : 0, low: fail ? 0.468 : 0, high: fail ? 0.524 : 0.003, limit: learning ? null : 0.012, baseline: learning ? null : 0, learned: learning ? n - 1 : 5, pValue: fail ? 1e-12 : learning ? null : 0.8, mde: fail ? null : 0.02, why: fail ? "49.6 % of 1,204 requests failed; earlier runs make at most 1.2 % probable." : learning ? `Learned from ${n - 1} of 5 runs.` : "No request failed." },
    { ...base, name: "traffic", status: learning ? "learning" : "pass", role: "required", kind: "rate", criterion: "adaptive", statistic: "rate", estimate: 20.1 + jitter * 20, low: 19.2, high: 21, limit: null, limitLow: learning ? null : 17.2, baseline: learning ? null : 20, learned: learning ? n - 1 : 5, pValue: learning ? null : 0.6, mde: 0.06, why: learning ? `Learned from ${n - 1} of 5 runs.` : "20.1 requests per second, as usual." },
    { ...base, name: "place order vs. production", status: opts.warn ? "warn" : n % 7 === 0 ? "inconclusive" : "pass", role: "required", kind: "distribution", unit: "s", criterion: "comparison", statistic: "mean", estimate: 0.096, low: 0.09, high: 0.104, limit: 0.108, baseline: 0.094, mde: n % 7 === 0 ? 0.31 : 0.09, needed: n % 7 === 0 ? 820 : 0, why: opts.warn ? "8 % slower than production; up to 15 % is tolerated." : "Not slower than production." },
    { ...base, name: "revenue per minute", status: "info", role: "info", kind: "value", unit: "EUR", criterion: "info", statistic: "last", estimate: fail ? 612.5 : 1243.1, limit: null, n: 6, why: "For information." },
  ];
};

const sources = (v) =>
  v.verdict.results.map((r) => ({
    objective: r.name,
    queries: [`sum(rate(traces_span_metrics_calls_total{service_name="checkout",deployment_environment_name="dev",span_kind="SPAN_KIND_SERVER"}[10s]))`],
    window: v.window,
    series: Array.from({ length: 36 }, (_, i) => {
      const t = Math.floor(Date.parse(v.window.to) / 1000) - (36 - i) * 5;
      const inside = t * 1000 >= flipAt + 41_000 && r.status === "fail";
      const value = r.name === "errors" ? (inside ? 0.45 + 0.08 * Math.sin(i) : 0) : r.estimate * (1 + 0.12 * Math.sin(i / 2));
      return [t, i === 7 ? null : value];
    }),
  }));

const kindsOf = ["learning", "learning", "learning", "learning", "learning", "pass", "pass", "pass", "pass", "pass", "pass", "fail", "pass"];
export const validations = kindsOf.map((kind, i) => {
  const n = i + 1;
  const end = kind === "fail" ? flipAt + 105_000 : n === 13 ? undoAt + 60_000 : flipAt - (13 - n) * 300_000;
  const rs = results(kind, n, { warn: n === 9 });
  const status = kind === "pass" && n === 9 ? "warn" : kind;
  return {
    id: `val-${n}`, guardian: "checkout", target, number: n, variant: "dev", tags: { environment: "dev", purpose: kind === "learning" ? "training" : n === 13 ? "verification" : "acceptance" },
    window: { from: iso(end - 65_000), to: iso(end) }, state: "finished", trigger: "workflow", who: "judge-every-load-test", eventId: `evt-test-${n}`, created: iso(end), started: iso(end + 5000), finished: iso(end + 6200),
    status, verdict: { status, summary: { learning: "Learning: 5 runs are needed before adaptive limits decide.", pass: "All objectives hold.", fail: "No-go: errors failed." }[kind], alpha: 0.01, results: rs }, training: "auto", pinned: n === 8,
    headline: kind === "fail" ? "No-go: 49.6 % of PlaceOrder fail since paymentServiceFailure went on, 41 s before the first failure." : status === "warn" ? "Go, with a warning: PlaceOrder is 8 % slower than in production." : kind === "pass" ? (n === 13 ? "Go: all objectives hold again after paymentServiceFailure went off." : "Go: all 4 objectives hold.") : `Learning from run ${n} of 5.`,
  };
});
const failing = validations[11];
const exemplarOf = (t) => {
  const s = t.spans.find((x) => x.service === "payment");
  return { traceId: t.traceId, spanId: s.spanId, time: s.start, duration: s.duration, exception, frames: [
    { function: "main.(*server).Charge", file: "/shop/payment/charge.go", line: 58, inApp: true },
    { function: "main._PaymentService_Charge_Handler", file: "/shop/pb/shop_grpc.pb.go", line: 412, inApp: false },
    { function: "google.golang.org/grpc.(*Server).processUnaryRPC", file: "/go/pkg/mod/google.golang.org/grpc@v1.85.0/server.go", line: 1405, inApp: false },
    { function: "google.golang.org/grpc.(*Server).handleStream", file: "/go/pkg/mod/google.golang.org/grpc@v1.85.0/server.go", line: 1815, inApp: false },
  ] };
};
const failed = traces.filter((_, k) => k % 3 === 0);
failing.evidence = {
  failures: [
    { signature: "a1", service: "payment", operation: "hipstershop.PaymentService/Charge", exceptionType: exception.type, message: "Invalid token. Charge is declined.", stackTop: { function: "main.(*server).Charge", file: "/shop/payment/charge.go", line: 58, inApp: true }, path: [{ service: "frontend", operation: "POST /api/checkout", kind: "server" }, { service: "checkout", operation: "hipstershop.CheckoutService/PlaceOrder", kind: "server" }, { service: "payment", operation: "hipstershop.PaymentService/Charge", kind: "server" }], count: 589, share: 0.987, firstSeen: iso(flipAt + 41_000), lastSeen: failing.window.to, seenBefore: false, exemplars: failed.slice(0, 5).map(exemplarOf) },
    { signature: "b2", service: "shipping", operation: "hipstershop.ShippingService/GetQuote", exceptionType: "context.deadlineExceeded", message: "context deadline exceeded after <num> ms", path: [{ service: "frontend", operation: "POST /api/checkout", kind: "server" }, { service: "checkout", operation: "hipstershop.CheckoutService/PlaceOrder", kind: "server" }, { service: "shipping", operation: "hipstershop.ShippingService/GetQuote", kind: "client" }], count: 8, share: 0.013, firstSeen: iso(flipAt + 60_000), lastSeen: failing.window.to, seenBefore: true, exemplars: failed.slice(5, 7).map(exemplarOf) },
  ],
  failedTraces: 597,
  firstFailure: iso(flipAt + 41_000),
  slow: [{ service: "payment", operation: "hipstershop.PaymentService/Charge", candidate: 49 * ms, baseline: 31 * ms, exemplars: failed.slice(0, 2).map(exemplarOf) }, { service: "shipping", operation: "hipstershop.ShippingService/GetQuote", candidate: 17 * ms, baseline: 16 * ms }],
  logs: [{ service: "payment", severity: "ERROR", template: "charge declined for order <*>: Invalid token", count: 589, baseline: 0, new: true, sample: { time: iso(flipAt + 42_000), service: "payment", severity: "ERROR", body: "charge declined for order o-12: Invalid token" }, traceIds: [failed[0].traceId] }, { service: "checkout", severity: "WARN", template: "retrying charge, attempt <*>", count: 1178, baseline: 12, new: false, sample: { time: iso(flipAt + 42_000), service: "checkout", severity: "WARN", body: "retrying charge, attempt 2" }, traceIds: [failed[1].traceId] }],
  changes: [
    { event: flip, on: { service: "payment", environment: "dev" }, secondsBeforeFirstFailure: 41, likely: true, score: 0.94, why: "It changed payment, where the failures begin, 41 s before the first one; nothing else changed on the failing path." },
    { event: { id: "evt-dep", type: "deployment.finished", kind: "deployment", title: "checkout 2.0.1", who: "ci", start: iso(flipAt - 42 * 60_000), service: "checkout", environment: "dev", from: "2.0.0", to: "2.0.1", source: "github" }, on: { service: "checkout", environment: "dev" }, secondsBeforeFirstFailure: 2561, likely: false, score: 0.11, why: "It lies on the failing path, but 43 min before the first failure, and two validations passed since." },
  ],
  gaps: ["Host metrics: none received from the host of payment."],
};
for (const v of validations) v.sources = sources(v);

export const events = [
  { id: "evt-undo", type: "flag.changed", kind: "flag", title: "paymentServiceFailure off", who: "workflow judge-every-load-test", reason: "validation checkout #12 failed", source: "tidegate", start: iso(undoAt), service: "payment", environment: "dev", key: "paymentServiceFailure", from: "on", to: "off", undoOf: "evt-flip", correlation: "run-acc" },
  { id: "evt-val-12", type: "validation.finished", kind: "validation", title: "checkout #12: no-go", who: "judge-every-load-test", start: failing.finished, service: "checkout", environment: "dev", properties: { validation: "val-12", status: "fail" }, correlation: "run-acc" },
  { id: "evt-test-12", type: "test.finished", kind: "test", title: "Load test acceptance finished", who: "mara", start: iso(flipAt + 40_000), end: iso(flipAt + 105_000), service: "checkout", environment: "dev", properties: { runId: "run-acc", purpose: "acceptance", tool: "tidegate" }, correlation: "run-acc" },
  flip,
  failing.evidence.changes[1].event,
  { id: "evt-cfg", type: "configuration.changed", kind: "configuration", title: "cart: cache ttl 30s → 60s", who: "jon", start: iso(flipAt - 3 * 3600_000), service: "cart", environment: "dev", from: "30s", to: "60s", links: [{ title: "commit", url: "https://example.com/commit/1" }] },
  { id: "evt-note", type: "annotation", kind: "annotation", title: "Sale begins", who: "marketing", start: iso(flipAt - 26 * 3600_000) },
];

export const guardians = [
  { guardian: { name: "checkout", labels: { team: "shop" }, description: "Golden signals and orders", target, variantBy: ["environment"], settle: 5e9, objectives: [
    { name: "latency", role: "required", quantile: 0.95, threshold: { fail: { op: ">", value: 0.2 }, warn: { op: ">", value: 0.18 } }, indicator: { latency: {} } },
    { name: "errors", role: "key", worse: "higher", adaptive: {}, indicator: { errorRate: {} } },
    { name: "traffic", worse: "lower", adaptive: { tolerance: 0.1 }, indicator: { throughput: {} } },
    { name: "place order vs. production", mean: true, comparison: { tolerance: 0.15 }, compareTo: { service: "checkout", environment: "production" }, indicator: { latency: { operation: "PlaceOrder" } } },
    { name: "revenue per minute", role: "info", indicator: { promql: "sum(rate(app_order_value_total[1m])) * 60", unit: "EUR" } },
  ] } },
  { guardian: { name: "frontend", target: { service: "frontend", environment: "dev" }, objectives: [{ name: "latency", indicator: { latency: {} } }], schedule: { every: 3e11, last: 3e11 } } },
];

const runResult = (failures) => ({ requests: 1204, failures, rate: 20.05, mean: 96 * ms, p50: 88 * ms, p90: 128 * ms, p99: 181 * ms, max: 244 * ms, codes: failures ? { 200: 1204 - failures, 500: failures } : { 200: 1204 }, errors: failures ? { "500 Internal Server Error": failures } : {} });
export const tests = [{ name: "acceptance", target, purpose: "acceptance", request: { method: "POST", url: "http://127.0.0.1:8080/api/checkout" }, duration: 6e10, stages: [{ to: 20, over: 5e9 }, { to: 20, over: 55e9 }] }, { name: "training", target, purpose: "training", command: { args: ["k6", "run", "checkout.js"] }, duration: 6e10 }];
export const runs = [
  { id: "run-acc", test: "acceptance", target, purpose: "acceptance", tool: "tidegate", who: "mara", state: "finished", started: iso(flipAt + 40_000), finished: iso(flipAt + 105_000), result: runResult(597) },
  ...[1, 2, 3, 4, 5].map((i) => ({ id: `run-t${i}`, test: "training", target, purpose: "training", tool: "k6", who: "ci", state: i === 2 ? "failed" : "finished", started: iso(flipAt - i * 300_000), finished: iso(flipAt - i * 300_000 + 60_000), ...(i === 2 ? { error: "k6: exit status 107", output: "thresholds on metrics 'http_req_failed' have been crossed" } : { result: runResult(0) }) })),
];

export const workflow = { name: "judge-every-load-test", on: { event: "test.finished", if: 'event.service == "checkout"' }, steps: [{ name: "verdict" }, { name: "undo", if: 'steps.verdict.status == "fail" && event.purpose == "acceptance"' }, { name: "verify", if: "steps.undo.done" }, { name: "tell", always: true }] };
export const flows = [
  { id: "wf-1", workflow: workflow.name, definition: workflow, event: events[2], state: "done", started: iso(flipAt + 105_500), finished: iso(undoAt + 67_000), steps: [
    { name: "verdict", kind: "validate", state: "done", input: { guardian: "checkout", last: "65s" }, output: { status: "fail", validation: "val-12", cause: { change: "evt-flip" }, report: "val-12" }, started: iso(flipAt + 105_600), finished: iso(flipAt + 111_900) },
    { name: "undo", kind: "undo", state: "done", input: { change: "evt-flip" }, output: { done: true, event: "evt-undo" }, started: iso(undoAt), finished: iso(undoAt + 40) },
    { name: "verify", kind: "validate", state: "done", attempts: 1, input: { guardian: "checkout", next: "30s", until: "pass" }, output: { status: "pass", validation: "val-13" }, started: iso(undoAt + 100), finished: iso(undoAt + 66_200) },
    { name: "tell", kind: "notify", state: "done", input: { channel: "release-room", report: "val-12" }, output: { delivered: true }, started: iso(undoAt + 66_300), finished: iso(undoAt + 67_000) },
  ] },
  { id: "wf-2", workflow: workflow.name, definition: workflow, event: { ...events[2], id: "evt-test-11" }, state: "done", started: iso(flipAt - 300_000), finished: iso(flipAt - 290_000), steps: [{ name: "verdict", kind: "validate", state: "done", output: { status: "pass", validation: "val-11" } }, { name: "undo", kind: "undo", state: "skipped" }, { name: "verify", kind: "validate", state: "skipped" }, { name: "tell", kind: "notify", state: "failed", error: "webhook: 503 from release-room, gave up after 8 attempts" }] },
];

export const audit = [{ id: "a1", set: "shop", key: "paymentServiceFailure", from: "on", to: "off", who: "workflow judge-every-load-test", reason: "validation checkout #12 failed", at: iso(undoAt), eventId: "evt-undo", what: "runtime" }, { id: "a2", set: "shop", key: "paymentServiceFailure", from: "off", to: "on", who: "mara", reason: "testing the new payment provider", at: iso(flipAt), eventId: "evt-flip", what: "runtime" }, { id: "a3", set: "shop", key: "imageSlowLoad", from: "", to: "", who: "", reason: "", at: iso(flipAt - 3600_000), what: "refused", note: "flags.json line 41: unexpected comma; the state before stays" }];

export const logs = (t) => [{ time: t.spans[0].start, service: "frontend", severity: "INFO", body: "POST /api/checkout", traceId: t.traceId, spanId: t.spans[0].spanId }, ...(t.spans.some((s) => s.status === "error") ? [{ time: t.spans.at(-1).start, service: "payment", severity: "ERROR", body: "charge declined: Invalid token", traceId: t.traceId, spanId: t.spans.find((s) => s.service === "payment")?.spanId }] : [])];
