// A stand-in for `tidegate serve` while developing the screens and for quick
// browser tests: the same paths and shapes over invented data, kept in memory.
//   npm run build && npm run mock     (PORT=7070 by default; 0 picks a free one)
import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import * as d from "./data.mjs";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const streams = new Set();
let eventId = 0;
const tell = (kind, id = "") => {
  for (const s of streams) s.write(`id: ${++eventId}\nevent: ${kind}\ndata: ${JSON.stringify({ kind, id })}\n\n`);
};

const brief = ({ evidence, sources, ...v }) => v;
const newestFirst = () => [...d.validations].reverse().map(brief);
const item = (g) => {
  const own = newestFirst().filter((v) => v.guardian === g.guardian.name);
  const counts = {};
  for (const v of own) counts[v.status] = (counts[v.status] ?? 0) + 1;
  return { ...g, last: own[0] ?? null, counts };
};
class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}
const find = (list, f, what) => list.find(f) ?? (() => { throw new Problem(404, `${what} does not exist`); })();
const validation = (id) => find(d.validations, (v) => v.id === id, `validation ${id}`);

function setFlag(set, key, variant, who, reason, extra = {}) {
  const f = find(d.flags, (x) => x.set === set && x.key === key, `flag ${key}`);
  if (!who || !reason) throw new Problem(422, "who and reason are required");
  if (!(variant in f.variants)) throw new Problem(422, `flag ${key} has no variant ${variant}`);
  const from = f.defaultVariant;
  const at = new Date().toISOString();
  const event = { id: `evt-${randomBytes(4).toString("hex")}`, type: "flag.changed", kind: "flag", title: `${key} ${variant}`, who, reason, source: "tidegate", start: at, service: f.service, environment: f.environment, key, from, to: variant, undo: { kind: "flag", flagSet: set, flagKey: key, variant: from }, ...extra };
  f.defaultVariant = variant;
  f.override = variant === f.sourceVariant ? null : { variant, who, reason, at, eventId: event.id };
  d.events.unshift(event);
  d.audit.unshift({ id: event.id, set, key, from, to: variant, who, reason, at, eventId: event.id, what: "runtime" });
  tell("flag", key);
  tell("change", event.id);
  return { flag: f, event };
}

const routes = [
  ["GET", "/v1/status", () => ({ version: "dev (mock)", started: new Date(Date.now() - 3e6).toISOString(), uptimeSeconds: 3000, uiBuilt: true, details: { ingest: { spans: 1204331, logs: 88211, points: 45120, refused: 0, lastSpan: new Date().toISOString() } } })],
  ["GET", "/v1/services", () => ({ services: d.services.map((s) => ({ ...s, lastValidation: s.service === "checkout" ? newestFirst()[0] : undefined })) })],
  ["GET", "/v1/services/:name", ({ name }) => {
    const s = find(d.services, (x) => x.service === name, `service ${name}`);
    const near = (f) => d.graph.edges.filter((e) => e[f] === name);
    return { ...s, operations: [{ operation: name === "checkout" ? "hipstershop.CheckoutService/PlaceOrder" : "hipstershop.Service/Do", kind: "SPAN_KIND_SERVER", requestsPerSecond: s.requestsPerSecond, errorRatio: s.errorRatio, p50: s.p50, p95: s.p95 }], upstream: near("server"), downstream: near("client"), versionsDetail: [{ version: s.versions[0], requestsPerSecond: s.requestsPerSecond, errorRatio: s.errorRatio, p95: s.p95 }], changes: d.events.filter((e) => e.service === name || name === "checkout"), validations: newestFirst().filter((v) => v.target.service === name) };
  }],
  ["GET", "/v1/graph", () => d.graph],
  ["GET", "/v1/events", (_, q) => {
    let list = d.events.filter((e) => ["kind", "type", "service", "environment", "who", "key", "correlation"].every((k) => !q.get(k) || e[k] === q.get(k)));
    list = [...list].sort((a, b) => b.start.localeCompare(a.start));
    return { events: list.slice(0, Number(q.get("limit") ?? 100)) };
  }],
  ["POST", "/v1/events/:id/undo", ({ id }, _, b) => {
    const e = find(d.events, (x) => x.id === id, `event ${id}`);
    if (!e.undo) throw new Problem(409, "nobody said how to undo this change");
    return { event: setFlag(e.undo.flagSet, e.undo.flagKey, e.undo.variant, b.who, b.reason, { undoOf: id }).event };
  }],
  ["GET", "/v1/flags", () => ({ flags: d.flags })],
  ["POST", "/v1/flags/:set/:key", ({ set, key }, _, b) => setFlag(set, key, b.variant, b.who, b.reason)],
  ["DELETE", "/v1/flags/:set/:key/override", ({ set, key }, q) => {
    const f = find(d.flags, (x) => x.key === key, `flag ${key}`);
    return setFlag(set, key, f.sourceVariant, q.get("who"), q.get("reason"));
  }],
  ["GET", "/v1/flag-audit", (_, q) => ({ audit: d.audit.filter((a) => (!q.get("key") || a.key === q.get("key")) && (!q.get("set") || a.set === q.get("set"))) })],
  ["GET", "/v1/guardians", () => ({ guardians: d.guardians.map(item) })],
  ["GET", "/v1/guardians/:name", ({ name }) => item(find(d.guardians, (g) => g.guardian.name === name, `guardian ${name}`))],
  ["GET", "/v1/guardians/:name/validations", ({ name }) => ({ validations: newestFirst().filter((v) => v.guardian === name) })],
  ["POST", "/v1/guardians/:name/validations", ({ name }, _, b) => {
    const last = d.validations.at(-1);
    const at = new Date().toISOString();
    const v = { ...structuredClone(last), id: `val-${d.validations.length + 1}`, number: d.validations.length + 1, guardian: name, who: b.who, trigger: "manual", created: at, finished: at, eventId: undefined, tags: {} };
    d.validations.push(v);
    tell("validation", v.id);
    return v;
  }],
  ["GET", "/v1/validations", (_, q) => ({ validations: newestFirst().slice(0, Number(q.get("limit") ?? 20)) })],
  ["GET", "/v1/validations/:id", ({ id }) => validation(id)],
  ["POST", "/v1/validations/:id/training", ({ id }, _, b) => { const v = validation(id); v.training = b.decision; tell("validation", id); return v; }],
  ["POST", "/v1/validations/:id/pin", ({ id }, _, b) => { const v = validation(id); v.pinned = b.pinned; tell("validation", id); return v; }],
  ["GET", "/v1/traces", (_, q) => ({ traces: d.traces.map(d.summary).filter((t) => (!q.get("service") || t.services.includes(q.get("service"))) && (!q.get("status") || (q.get("status") === "error") === t.errors > 0)) })],
  ["GET", "/v1/traces/:id", ({ id }) => find(d.traces, (t) => t.traceId === id, `trace ${id}`)],
  ["GET", "/v1/traces/:id/logs", ({ id }) => ({ logs: d.logs(find(d.traces, (t) => t.traceId === id, `trace ${id}`)) })],
  ["GET", "/v1/loadtests", () => ({ tests: d.tests.map((test) => ({ test, last: d.runs.find((r) => r.test === test.name) })) })],
  ["POST", "/v1/loadtests/:name/runs", ({ name }, _, b) => { const r = { ...d.runs.at(-1), id: `run-${randomBytes(3).toString("hex")}`, test: name, who: b.who, state: "running", started: new Date().toISOString(), finished: undefined, result: undefined }; d.runs.unshift(r); tell("loadtest", r.id); return r; }],
  ["POST", "/v1/loadtest-runs/:id/cancel", ({ id }) => { const r = find(d.runs, (x) => x.id === id, `run ${id}`); r.state = "cancelled"; r.finished = new Date().toISOString(); tell("loadtest", id); return r; }],
  ["GET", "/v1/loadtest-runs", (_, q) => ({ runs: d.runs.filter((r) => !q.get("test") || r.test === q.get("test")) })],
  ["GET", "/v1/loadtest-runs/:id", ({ id }) => find(d.runs, (r) => r.id === id, `run ${id}`)],
  ["GET", "/v1/workflows", () => ({ workflows: [{ workflow: d.workflow, last: d.flows[0] }] })],
  ["GET", "/v1/workflow-runs", () => ({ runs: d.flows })],
  ["GET", "/v1/workflow-runs/:id", ({ id }) => find(d.flows, (r) => r.id === id, `run ${id}`)],
].map(([method, path, handle]) => ({ method, keys: [...path.matchAll(/:(\w+)/g)].map((m) => m[1]), re: new RegExp(`^${path.replace(/:\w+/g, "([^/]+)")}$`), handle }));

async function body(req) {
  let s = "";
  for await (const c of req) s += c;
  return s ? JSON.parse(s) : {};
}

async function api(req, res, u) {
  for (const r of routes) {
    const m = r.method === req.method && r.re.exec(u.pathname);
    if (!m) continue;
    const params = Object.fromEntries(r.keys.map((k, i) => [k, decodeURIComponent(m[i + 1])]));
    const answer = await r.handle(params, u.searchParams, await body(req));
    res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    return;
  }
  throw new Problem(404, `no such path ${u.pathname}`);
}

async function files(res, path) {
  const nonce = randomBytes(16).toString("base64");
  const csp = `default-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'`;
  const name = normalize(path).replace(/^\/+/, "");
  try {
    if (!extname(name)) throw new Error("a screen");
    const content = await readFile(join(dist, name));
    res.writeHead(200, { "content-type": types[extname(name)] ?? "application/octet-stream" }).end(content);
  } catch {
    const page = (await readFile(join(dist, "index.html"), "utf8")).replaceAll("__TIDEGATE_NONCE__", nonce);
    res.writeHead(200, { "content-type": types[".html"], "content-security-policy": csp }).end(page);
  }
}

/** Starts the mock; resolves to its address and a function that stops it. */
export function start(port = 0) {
  const server = createServer(async (req, res) => {
    const u = new URL(req.url, "http://mock");
    try {
      if (u.pathname === "/v1/stream") {
        res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
        res.write(`event: hello\ndata: {"version":"dev (mock)"}\n\n`);
        streams.add(res);
        req.on("close", () => streams.delete(res));
      } else if (u.pathname.startsWith("/v1/")) await api(req, res, u);
      else await files(res, u.pathname);
    } catch (e) {
      const status = e instanceof Problem ? e.status : 500;
      res.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify({ title: status === 404 ? "Not Found" : "Refused", status, detail: e.message }));
    }
  });
  return new Promise((resolve) =>
    server.listen(port, "127.0.0.1", () =>
      resolve({
        url: `http://127.0.0.1:${server.address().port}`,
        stop: () => new Promise((done) => { server.closeAllConnections(); server.close(done); }),
      }),
    ),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await start(Number(process.env.PORT ?? 7070));
  console.log(url);
}
