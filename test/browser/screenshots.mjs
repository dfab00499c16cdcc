// Pictures of every screen, for people: node screenshots.mjs [OUT]
import { mkdir } from "node:fs/promises";
import { open, settled, sideways, sizes, startBrowser, startServer } from "./harness.mjs";

const out = process.argv[2] ?? "out";
await mkdir(out, { recursive: true });
const server = await startServer();
const { browser, stop } = await startBrowser();
const get = async (path) => (await fetch(server.url + path)).json();
const { validations } = await get("/v1/validations?limit=50");
const bad = validations?.find((v) => v.status === "fail") ?? validations?.[0];
const { traces } = await get("/v1/traces?status=error&limit=5");
const trace = traces?.find((t) => t.spans < 1000);
const { runs } = await get("/v1/loadtest-runs?limit=20");
const { runs: flows } = await get("/v1/workflow-runs?limit=20");
const first = async (path, list) => (await get(path))[list]?.[0];
const problem = await first("/v1/problems?limit=1", "problems");
const rollout = await first("/v1/rollout-runs?limit=1", "runs");
const release = await first("/v1/releases?limit=1", "releases");
const build = await first("/v1/comparison-validations?limit=1", "validations");
const failedSpan = trace && (await get(`/v1/traces/${trace.traceId}`)).spans.find((s) => s.events?.some((e) => e.name === "exception"));

const screens = {
  now: "/",
  services: "/services",
  service: `/services/${bad?.target.service ?? "checkout"}`,
  map: "/map",
  problems: "/problems",
  ...(problem && { problem: `/problems/${problem.id}` }),
  rollouts: "/rollouts",
  ...(rollout && { rollout: `/rollouts/${rollout.id}` }),
  pipelines: "/pipelines",
  ...(release && { pipeline: `/pipelines/${encodeURIComponent(release.pipeline)}`, release: `/releases/${release.id}` }),
  ...(build && { builds: `/builds?${new URLSearchParams({ pipeline: build.pipeline ?? "", comparison: build.comparison })}` }),
  guardians: "/guardians",
  guardian: `/guardians/${bad?.guardian ?? "checkout"}`,
  ...(bad && { validation: `/validations/${bad.id}` }),
  traces: "/traces",
  ...(trace && { trace: `/traces/${trace.traceId}${failedSpan ? `?span=${failedSpan.spanId}` : ""}` }),
  changes: "/changes",
  flags: "/flags",
  loadtests: "/loadtests",
  ...(runs?.[0] && { loadtest: `/loadtests/${runs[0].id}` }),
  workflows: "/workflows",
  ...(flows?.[0] && { workflow: `/workflows/${flows[0].id}` }),
  audit: "/audit",
};
const only = process.env.ONLY?.split(",");
for (const [sizeName, size] of Object.entries(sizes))
  for (const scheme of ["light", "dark"])
    for (const [name, path] of Object.entries(screens)) {
      if (only && !only.includes(name)) continue;
      const page = await open(browser, server.url + path, { size, scheme });
      await settled(page).catch(() => page.problems.push("did not settle"));
      await page.screenshot({ path: `${out}/${name}-${sizeName}-${scheme}.png`, fullPage: true });
      const wide = await sideways(page);
      if (wide || page.problems.length) console.log(name, sizeName, scheme, wide ? `${wide}px too wide` : "", page.problems.join(" | "));
      await page.close();
    }
await stop();
await server.stop();
