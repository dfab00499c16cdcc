// The real binary with a small, known story behind it: a shop of three
// services sends spans over OTLP, two validations pass, somebody turns a flag
// on, charges fail, the third validation is a no-go. Nothing is written to
// the server but what its users would send.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const binary = process.env.TIDEGATE_BIN ?? fileURLToPath(new URL("../../bin/tidegate", import.meta.url));

const manifests = `
apiVersion: tidegate.dev/v1
kind: Guardian
metadata: {name: checkout}
spec:
  description: Can people buy, and fast enough?
  target: {service: checkout, environment: dev}
  settle: 2s
  objectives:
    - name: latency
      indicator: {latency: {quantile: 0.95}}
      fail: "> 500ms"
    - name: errors
      indicator: {errorRate: {}}
      fail: "> 5%"
      key: true
    - name: traffic
      indicator: {throughput: {}}
      info: true
---
apiVersion: tidegate.dev/v1
kind: FlagSet
metadata: {name: shop}
spec:
  target: {service: checkout, environment: dev}
  flags:
    paymentServiceFailure:
      state: ENABLED
      variants: {"off": 0, "on": 0.5}
      defaultVariant: "off"
      metadata: {service: payment, description: Share of charges that fail}
    fastCart:
      state: ENABLED
      variants: {"off": false, "on": true}
      defaultVariant: "off"
      metadata: {service: checkout}
---
apiVersion: tidegate.dev/v1
kind: LoadTest
metadata: {name: acceptance}
spec:
  target: {service: checkout, environment: dev}
  purpose: acceptance
  duration: 1s
  rate: 5/s
  request: {method: GET, url: 'SERVER/healthz'}
---
apiVersion: tidegate.dev/v1
kind: Workflow
metadata: {name: judge-every-load-test}
spec:
  on: {event: test.finished, if: 'event.service == "checkout"'}
  steps:
    - name: verdict
      validate: {guardian: checkout, window: {last: 10s}, tags: {purpose: '\${event.purpose}'}}
---
apiVersion: tidegate.dev/v1
kind: Pipeline
metadata: {name: shop}
spec:
  description: The shop, to its customers
  stages:
    - name: staging
      actions:
        - command: {args: [sh, -c, 'echo smoke test of $TIDEGATE_VERSION']}
        - approve: {by: [anyone], timeout: 1h}
    - name: production
      actions:
        - command: {args: [sh, -c, 'test $TIDEGATE_VERSION != 1.1.0 || { echo "1.1.0 does not start" >&2; exit 1; }']}
  freeze:
    - {stages: [production], from: 2020-01-01T00:00:00Z, to: 2020-01-02T00:00:00Z, reason: a day of rest}
---
apiVersion: tidegate.dev/v1
kind: Environment
metadata: {name: dev}
spec: {selector: environment=dev}
---
apiVersion: tidegate.dev/v1
kind: PerformanceSignature
metadata: {name: checkout}
spec:
  service: checkout
  comparisons:
    - {name: DevToLimits, source: dev}
  metrics:
    - {responseTime: avg, limit: "> 500ms"}
    - {failureRate: avg, limit: "> 5%"}
---
apiVersion: tidegate.dev/v1
kind: Route
metadata: {name: orders}
spec:
  listen: 127.0.0.1:0
  service: orders
  environment: dev
  sides:
    - {name: blue, version: "1.0", url: "SERVER"}
    - {name: green, version: "1.1", url: "SERVER"}
---
apiVersion: tidegate.dev/v1
kind: Rollout
metadata: {name: orders-canary}
spec:
  route: orders
  guardian: checkout
  steps:
    - {weight: 20%, for: 1h}
    - {weight: 100%, for: 1h}
`;

/** Starts the server, tells it the story, resolves when the no-go is there. */
export async function startReal() {
  const dir = await mkdtemp(join(tmpdir(), "tidegate-browser-"));
  await mkdir(join(dir, "manifests"));
  const ready = join(dir, "ready.json");
  const any = "127.0.0.1:0";
  const child = spawn(
    binary,
    ["serve", "--data", join(dir, "data"), "--manifests", join(dir, "manifests"), "--ready-file", ready, "--log-level", "warn"].concat(
      ["--listen", "--otlp-grpc", "--otlp-http", "--flagd", "--flagd-sync", "--ofrep"].flatMap((f) => [f, any]),
    ),
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  const exited = new Promise((resolve) => child.once("exit", resolve));
  // Whatever ends this process takes the server along.
  process.once("exit", () => child.kill("SIGKILL"));
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const at = await poll("the server", 30_000, async () => JSON.parse(await readFile(ready, "utf8")), child);
    const url = `http://${at.api}`;
    await writeFile(join(dir, "manifests", "shop.yaml"), manifests.replaceAll("SERVER", url));
    const call = async (method, path, body) => {
      const res = await fetch(url + path, { method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body) });
      if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${await res.text()}`);
      return res.json();
    };
    await poll("the manifests", 20_000, () => call("GET", "/v1/guardians/checkout"), child);
    await tell(`http://${at.otlpHttp}`, call);
    return { url, stop };
  } catch (e) {
    await stop();
    throw e;
  }
}

async function poll(what, ms, f, child) {
  const until = Date.now() + ms;
  for (;;) {
    try {
      const v = await f();
      if (v) return v;
    } catch (e) {
      if (Date.now() > until || child?.exitCode !== null) throw new Error(`${what} did not come: ${e.message}`);
    }
    if (Date.now() > until) throw new Error(`${what} did not come within ${ms} ms`);
    await pause(100);
  }
}

async function tell(otlp, call) {
  const judge = async (purpose) => {
    const v = await call("POST", "/v1/guardians/checkout/validations", { last: "6s", who: "browser test", wait: true, tags: { purpose } });
    return v.status;
  };
  // Counters are differenced: what was there before the window must be known.
  await send(otlp, 0, 40);
  for (const purpose of ["training", "acceptance"]) {
    await traffic(otlp, 6, 0);
    const status = await judge(purpose);
    if (status !== "pass") throw new Error(`the healthy shop is ${status}`);
    await compare(call, purpose === "training" ? "17" : "18");
  }
  await call("POST", "/v1/flags/shop/paymentServiceFailure", { variant: "on", who: "alex", reason: "try the new payment processor" });
  await traffic(otlp, 7, 0.5);
  const status = await judge("acceptance");
  if (status !== "fail") throw new Error(`the broken shop is ${status}`);
  await compare(call, "19");
}

/** Holds a build against its limits; it is judged a moment later. */
const compare = (call, build) =>
  call("POST", "/v1/comparison-validations", { pipeline: "shop", build, comparison: "DevToLimits", last: "6s", who: "browser test" });

/** Requests, as they would come, for some seconds. */
async function traffic(otlp, seconds, failing) {
  for (let i = 0; i < seconds * 2; i++) {
    await send(otlp, failing, 10);
    await pause(500);
  }
}

const stack = `card.InvalidTokenError: Invalid token.
goroutine 1 [running]:
main.(*payment).charge(0xc000012345)
	/shop/payment/charge.go:58 +0x1d
google.golang.org/grpc.(*Server).processUnaryRPC(0xc0001)
	/go/pkg/mod/google.golang.org/grpc@v1.85.0/server.go:1405 +0x2b`;

/** Sends n requests to the shop as OTLP/JSON, a share of which fails in payment. */
async function send(otlp, failing, n) {
  const spans = { frontend: [], checkout: [], payment: [] };
  const now = BigInt(Date.now()) * 1_000_000n;
  for (let i = 0; i < n; i++) {
    const bad = (i + 0.5) / n < failing;
    const traceId = randomBytes(16).toString("hex");
    const ids = Array.from({ length: 5 }, () => randomBytes(8).toString("hex"));
    const begin = now - BigInt(n - i) * 40_000_000n / BigInt(n) - 90_000_000n;
    const span = (k, name, kind, from, to, extra = {}) => ({
      traceId, spanId: ids[k], ...(k && { parentSpanId: ids[k - 1] }), name, kind,
      startTimeUnixNano: String(begin + BigInt(from) * 1_000_000n), endTimeUnixNano: String(begin + BigInt(to) * 1_000_000n),
      status: bad ? { code: 2, message: "charge declined" } : {}, ...extra,
    });
    spans.frontend.push(span(0, "POST /api/checkout", 2, 0, 80), span(1, "CheckoutService/PlaceOrder", 3, 1, 78));
    spans.checkout.push(span(2, "CheckoutService/PlaceOrder", 2, 2, 76), span(3, "PaymentService/Charge", 3, 20, 74));
    const attributes = (o) => Object.entries(o).map(([key, v]) => ({ key, value: { stringValue: v } }));
    const exception = { timeUnixNano: String(begin + 70_000_000n), name: "exception", attributes: attributes({ "exception.type": "card.InvalidTokenError", "exception.message": "Invalid token.", "exception.stacktrace": stack }) };
    spans.payment.push(span(4, "PaymentService/Charge", 2, 22, 72, bad ? { events: [exception] } : {}));
  }
  const attribute = (key, v) => ({ key, value: { stringValue: v } });
  const body = {
    resourceSpans: Object.entries(spans).map(([service, spans]) => ({
      resource: { attributes: [attribute("service.name", service), attribute("deployment.environment.name", "dev"), attribute("service.version", "1.0.0")] },
      scopeSpans: [{ scope: { name: "browser-test" }, spans }],
    })),
  };
  const res = await fetch(`${otlp}/v1/traces`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!res.ok) throw new Error(`OTLP: ${res.status} ${await res.text()}`);
}
