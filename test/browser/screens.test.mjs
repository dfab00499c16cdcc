// The screens in a real Chromium: the story of a no-go, as a person follows it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { open, settled, sideways, sizes, startBrowser, startServer } from "./harness.mjs";

let server, browser, stopBrowser;
const get = async (path) => (await fetch(server.url + path)).json();
const page = async (path, options) => open(browser, server.url + path, options);

before(async () => {
  server = await startServer();
  ({ browser, stop: stopBrowser } = await startBrowser());
}, { timeout: 120_000 });

after(async () => {
  await stopBrowser?.();
  await server?.stop();
});

async function noGo() {
  const { validations } = await get("/v1/guardians/checkout/validations?limit=60");
  const v = validations.find((v) => v.status === "fail");
  assert.ok(v, "the story has a no-go");
  return v;
}

test("Now says what is wrong first, and that it is live", async () => {
  const p = await page("/");
  await p.getByRole("heading", { name: "Now", exact: true }).waitFor();
  await p.locator(".live[data-state=live]").waitFor();
  await p.locator(".table").getByRole("link", { name: /checkout/ }).first().waitFor();
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("a flag is toggled with who and why, and the history and the timeline say so", async () => {
  const p = await page("/flags");
  const flag = p.locator("[data-testid=flag][data-key=paymentServiceFailure]");
  const pressed = () => flag.locator("button[aria-pressed=true]").first().innerText();
  const was = (await pressed()).replace("●", "").trim();
  const next = was === "on" ? "off" : "on";
  await flag.getByRole("button", { name: next, exact: true }).click();

  const dialog = p.getByRole("dialog");
  await dialog.getByText("What will happen").waitFor();
  assert.match(await dialog.innerText(), new RegExp(`from ${was} to ${next}`));
  const confirm = dialog.getByRole("button", { name: `Set paymentServiceFailure to ${next}` });
  assert.equal(await confirm.isDisabled(), true, "nothing happens without who and why");
  await dialog.getByLabel("Who").fill("mara");
  await dialog.getByLabel("Reason").fill("browser test flips it");
  await confirm.click();
  await dialog.waitFor({ state: "hidden" });

  await flag.locator(`button[aria-pressed=true]:has-text("${next}")`).waitFor();
  const row = p.getByTestId("flag-audit").locator("tr", { hasText: "browser test flips it" });
  await row.first().waitFor();
  assert.match(await row.first().innerText(), /mara/);
  const { flags } = await get("/v1/flags");
  assert.equal(flags.find((f) => f.key === "paymentServiceFailure").defaultVariant, next, "the server has it");

  await p.goto(server.url + "/changes?kind=flag");
  await p.locator(".event-line", { hasText: "browser test flips it" }).first().waitFor();
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("another window sees the flag move without reloading", async () => {
  const watching = await page("/flags");
  await watching.locator(".live[data-state=live]").waitFor();
  const f = (await get("/v1/flags")).flags.find((f) => f.key === "paymentServiceFailure");
  const next = f.defaultVariant === "on" ? "off" : "on";
  const res = await fetch(`${server.url}/v1/flags/${f.set}/${f.key}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ variant: next, who: "jon", reason: "from elsewhere" }) });
  assert.equal(res.ok, true);
  await watching.locator(`[data-key=paymentServiceFailure] button[aria-pressed=true]:has-text("${next}")`).waitFor();
  await watching.close();
});

test("the heatmap walks by keyboard, tells value and limit, and opens the validation", async () => {
  const v = await noGo();
  const p = await page("/guardians/checkout");
  const grid = p.getByRole("grid");
  await grid.waitFor();
  const cells = await grid.getByRole("gridcell").count();
  const rows = await grid.getByRole("row").count();
  assert.equal(cells % rows, 0, "every row has a cell for every validation");

  const errors = grid.getByRole("link", { name: new RegExp(`^errors, validation ${v.number}: Fail`) });
  await errors.hover();
  const detail = p.locator(".heat-detail");
  await detail.getByText("limit", { exact: true }).waitFor();
  assert.match(await detail.innerText(), /✕\s*Fail/, "status is a shape and a word, not only a colour");
  const height = (await detail.boundingBox()).height;

  await errors.focus();
  await p.keyboard.press("ArrowUp");
  await p.keyboard.press("ArrowUp");
  const focused = await p.evaluate(() => document.activeElement.getAttribute("aria-label"));
  assert.match(focused, new RegExp(`validation ${v.number}:`));
  await p.keyboard.press("ArrowLeft");
  assert.match(await p.evaluate(() => document.activeElement.getAttribute("aria-label")), new RegExp(`validation ${v.number - 1}:`));
  assert.ok(Math.abs((await detail.boundingBox()).height - height) < 40, "the page does not jump");
  await p.keyboard.press("ArrowRight");
  await p.keyboard.press("Enter");
  await p.waitForURL(`**/validations/${v.id}`);
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("the validation says what, why and what now, and its evidence leads to the trace", async () => {
  const v = await noGo();
  const whole = await get(`/v1/validations/${v.id}`);
  const p = await page(`/validations/${v.id}`);
  assert.equal(await p.getByTestId("headline").innerText(), whole.headline || whole.verdict.summary);

  const first = p.getByTestId("objective").first();
  assert.equal(await first.getAttribute("data-name"), "errors", "the failed objective comes first");
  assert.match(await first.innerText(), /limit/);

  const cause = p.getByTestId("cause");
  await cause.waitFor();
  assert.match(await cause.innerText(), /paymentServiceFailure/);
  assert.match(await cause.innerText(), new RegExp(whole.evidence.changes[0].event.who));

  const group = p.getByTestId("failure-group").first();
  const want = whole.evidence.failures[0];
  assert.match(await group.innerText(), new RegExp(want.exceptionType.replaceAll(".", "\\.")));
  await group.locator(".path [data-origin]", { hasText: want.service }).waitFor();
  await group.locator(".stack").getByText("in app").first().waitFor();

  const report = await fetch(server.url + (await p.getByRole("link", { name: "Download report" }).getAttribute("href"))).catch(() => null);
  if (!process.env.TIDEGATE_MOCK) {
    assert.equal(report.status, 200);
    assert.match(await report.text(), /<html/i);
  }

  await group.getByRole("list", { name: "Example traces" }).getByRole("link").first().click();
  await p.waitForURL("**/traces/**span=**");
  const details = p.getByTestId("span-details");
  await details.getByTestId("exception").first().waitFor();
  assert.match(await details.innerText(), new RegExp(want.exceptionType.replaceAll(".", "\\.")));
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("the cause is undone from the validation", async () => {
  const v = await noGo();
  const whole = await get(`/v1/validations/${v.id}`);
  const p = await page(`/validations/${v.id}`);
  await p.getByTestId("cause").waitFor();
  const button = p.getByTestId("cause").getByRole("button", { name: "Undo this change" });
  const undone = p.getByTestId("cause").getByText(/Undone/);
  await button.or(undone).first().waitFor();
  if (await undone.count()) { // the story undid it
    await p.close();
    return;
  }
  await button.click();
  const dialog = p.getByRole("dialog");
  await dialog.getByLabel("Who").fill("mara");
  await dialog.getByLabel("Reason").fill("no-go");
  await dialog.getByRole("button", { name: /^Set paymentServiceFailure to off/ }).click();
  await dialog.waitFor({ state: "hidden" });
  await p.getByTestId("cause").getByText(/Undone/).waitFor();
  await p.getByTestId("done").getByText(/paymentServiceFailure/).first().waitFor();
  const { events } = await get("/v1/events?kind=flag&limit=50");
  assert.ok(events.some((e) => e.undoOf === whole.evidence.changes[0].event.id), "the undo is on the timeline");
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("the waterfall moves by keyboard, folds, and keeps the span in the address", async () => {
  const { traces } = await get("/v1/traces?status=error&limit=20");
  const t = traces.find((t) => t.spans < 1000);
  const p = await page(`/traces/${t.traceId}`);
  const tree = p.getByRole("tree");
  await tree.waitFor();
  await tree.focus();
  await p.keyboard.press("ArrowDown");
  await p.waitForURL(/span=/);
  const one = new URL(p.url()).searchParams.get("span");
  await p.keyboard.press("ArrowDown");
  await p.waitForFunction((s) => new URL(location.href).searchParams.get("span") !== s, one);
  await p.keyboard.press("Home");
  const before = await p.getByRole("treeitem").count();
  await p.keyboard.press("ArrowLeft");
  await p.waitForFunction((n) => document.querySelectorAll("[role=treeitem]").length < n, before);
  await p.keyboard.press("ArrowRight");
  await p.waitForFunction((n) => document.querySelectorAll("[role=treeitem]").length === n, before);

  const address = p.url();
  await p.goto(address);
  await p.locator("[role=treeitem][aria-selected=true]").waitFor();
  await p.keyboard.press("Tab");
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("a trace of 20,000 spans scrolls with few rows in the document", async () => {
  const id = "b16".padEnd(32, "0");
  const p = await browser.newPage();
  await p.route(`**/v1/traces/${id}`, (r) => r.fulfill({ json: bigTrace(id, 20_000) }));
  await p.route(`**/v1/traces/${id}/logs`, (r) => r.fulfill({ json: { logs: [] } }));
  await p.goto(`${server.url}/traces/${id}`);
  const tree = p.getByRole("tree", { name: /20000 spans/ });
  await tree.waitFor({ timeout: 30_000 });
  assert.ok((await p.getByRole("treeitem").count()) < 120);
  await tree.focus();
  await p.keyboard.press("End");
  await p.locator("[role=treeitem][aria-selected=true]", { hasText: /step \d+/ }).waitFor();
  assert.ok((await p.getByRole("treeitem").count()) < 120);
  await p.close();
});

// More spans than the store would give: the limit of the view is its own.
function bigTrace(traceId, n) {
  const id = (i) => (0x10000000 + i).toString(16).padStart(16, "0");
  const begin = Date.now();
  const spans = Array.from({ length: n }, (_, i) => ({
    traceId, spanId: id(i), parentId: i ? id(Math.floor((i - 1) / 8)) : "", service: `batch-${i % 5}`, name: `step ${i}`, kind: "internal",
    start: new Date(begin + Math.floor(Math.log2(i + 1) * 300)).toISOString(), duration: Math.round(9e9 / Math.log2(i + 2)), status: i % 997 === 996 ? "error" : "unset",
  }));
  return { traceId, spans };
}

test("keys go places, search finds, help helps", async () => {
  const p = await page("/");
  await p.getByRole("heading", { name: "Now", exact: true }).waitFor();
  await p.keyboard.press("g");
  await p.keyboard.press("f");
  await p.waitForURL("**/flags");
  await p.keyboard.press("/");
  await p.getByRole("combobox").fill("checko");
  await p.getByRole("option", { name: /checkout/ }).first().waitFor();
  await p.keyboard.press("Enter");
  await p.waitForURL(/checkout/);
  await p.keyboard.press("?");
  await p.getByRole("dialog").getByText("Keyboard").waitFor();
  await p.keyboard.press("Escape");
  await p.getByRole("dialog").waitFor({ state: "hidden" });
  await p.goto(server.url + "/services");
  await p.locator(".table tbody tr").nth(1).waitFor();
  await p.keyboard.press("j");
  await p.keyboard.press("ArrowDown");
  assert.equal(await p.evaluate(() => [...document.querySelectorAll("tbody tr")].indexOf(document.activeElement.closest("tr"))), 1);
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("what is missing or unreachable says what to do", async () => {
  const p = await page("/validations/no-such-thing");
  await p.getByRole("alert").waitFor();
  assert.match(await p.getByRole("alert").innerText(), /retention|deleted/);
  const lost = await page("/no/such/page");
  await lost.getByText("No such page").first().waitFor();
  await lost.close();
  await p.route("**/v1/flags", (r) => r.abort());
  await p.goto(server.url + "/flags");
  await p.getByText("tidegate serve").waitFor();
  await p.close();
});

test("it says when it is not live, and is live again by itself", async () => {
  const p = await browser.newPage();
  await p.route("**/v1/stream", (r) => r.abort());
  await p.goto(server.url + "/flags");
  await p.locator(".live[data-state=lost]", { hasText: "Not live" }).waitFor();
  await p.unroute("**/v1/stream");
  await p.locator(".live[data-state=live]", { hasText: "Live" }).waitFor();
  await p.close();
});

test("a run is rejected for training, and pinned as the reference", async () => {
  const v = await noGo();
  const p = await page(`/validations/${v.id}`);
  const act = async (button, confirm) => {
    await p.getByRole("button", { name: button, exact: true }).click();
    const dialog = p.getByRole("dialog");
    await dialog.getByLabel("Who").fill("mara");
    await dialog.getByLabel("Reason").fill("browser test");
    await dialog.getByRole("button", { name: confirm }).click();
    await dialog.waitFor({ state: "hidden" });
  };
  await act("Reject for training", `Reject #${v.number}`);
  await p.getByText("rejected for training").first().waitFor();
  await act("Take rejection back", `Reset #${v.number}`);
  await p.getByText("rejected for training").first().waitFor({ state: "hidden" });
  const passed = (await get("/v1/guardians/checkout/validations?limit=60")).validations.find((v) => v.status === "pass");
  await p.goto(`${server.url}/validations/${passed.id}`);
  if (!passed.pinned) {
    await act("Pin as reference", `Pin #${passed.number}`);
    await p.getByText("★ reference").first().waitFor();
    await act("Unpin", `Unpin #${passed.number}`);
    await p.getByRole("button", { name: "Pin as reference" }).waitFor();
  }
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("a load test is started, and the workflow that follows is there to read", { skip: !!process.env.TIDEGATE_MOCK && "the mock runs nothing" }, async () => {
  const p = await page("/loadtests");
  await p.getByTestId("loadtest").filter({ hasText: "acceptance" }).getByRole("button", { name: "Start" }).click();
  const dialog = p.getByRole("dialog");
  await dialog.getByLabel("Who").fill("mara");
  await dialog.getByRole("button", { name: "Start acceptance" }).click();
  await dialog.waitFor({ state: "hidden" });
  await p.locator("tr", { hasText: "acceptance" }).filter({ hasText: /Running|Finished/ }).first().waitFor();
  await p.locator("tr", { hasText: "Finished" }).first().waitFor({ timeout: 30_000 });
  await p.goto(server.url + "/workflows");
  const run = p.getByTestId("workflow-run").first();
  await run.waitFor({ timeout: 30_000 });
  await run.getByRole("link").first().click();
  const step = p.getByTestId("step").first();
  await step.locator("[data-tone=pass]", { hasText: "Done" }).waitFor({ timeout: 45_000 });
  assert.match(await step.innerText(), /verdict/);
  await step.getByRole("link", { name: "Open the validation" }).first().click();
  await p.waitForURL("**/validations/**");
  await p.getByTestId("headline").waitFor();
  assert.deepEqual(p.problems, []);
  await p.close();
});

const put = async (path, body) => {
  const res = await fetch(server.url + path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  assert.ok(res.ok, `${path}: ${res.status} ${res.ok ? "" : await res.text()}`);
  return res.json();
};
/** Says who and why in the dialog, and does it. */
async function confirm(p, name, reason) {
  const dialog = p.getByRole("dialog");
  const button = dialog.getByRole("button", { name });
  assert.equal(await button.isDisabled(), true, "nothing happens without who and why");
  await dialog.getByLabel("Who").fill("mara");
  await dialog.getByLabel("Reason").fill(reason);
  await button.click();
  await dialog.waitFor({ state: "hidden" });
}
const noMock = { skip: !!process.env.TIDEGATE_MOCK && "the mock has none" };

test("a problem appears as it is reported, is commented, acknowledged and closed", noMock, async () => {
  const p = await page("/problems");
  await p.locator(".live[data-state=live]").waitFor();
  await put("/v1/problem-events", { id: "certificate", title: "The certificate expires in 3 days", service: "backup", environment: "ops", severity: "custom", timeoutSeconds: 3600 });
  await p.getByRole("link", { name: /certificate expires/ }).first().click();
  await p.waitForURL(/\/problems\/./);
  await p.getByRole("heading", { name: /certificate expires/ }).waitFor();
  await p.getByRole("button", { name: /^Comment/ }).first().click();
  await p.getByRole("dialog").waitFor();
  await p.keyboard.press("Escape");
  await p.getByRole("button", { name: /^Close/ }).first().click();
  await confirm(p, /^Close P-/, "renewed it");
  await p.getByText("renewed it").first().waitFor();
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("a rollout is started, seen, and taken back by a person", noMock, async () => {
  const run = await put("/v1/rollouts/orders-canary/runs", { candidate: { name: "green", version: "1.1", url: server.url }, who: "kim", reason: "the new checkout" });
  const p = await page("/rollouts");
  await p.getByTestId("route").filter({ hasText: "orders" }).waitFor();
  await p.getByTestId("rollout-run").filter({ hasText: "orders-canary" }).getByRole("link").first().click();
  await p.waitForURL(`**/rollouts/${run.id}`);
  await p.getByTestId("rollout-step").nth(1).waitFor();
  await p.getByRole("button", { name: "Take it back" }).click();
  await confirm(p, /^Take .* back/, "not today");
  await p.locator(".verdict .badge", { hasText: "Taken back" }).waitFor();
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("a release waits for a person, who approves it, and one that fails is retried", noMock, async () => {
  await put("/v1/pipelines/shop/releases", { version: "1.0.0", who: "kim", reason: "first" });
  const p = await page("/pipelines");
  const card = p.getByTestId("pipeline").filter({ hasText: "shop" });
  await card.getByText("Waiting").first().waitFor();
  await card.getByRole("link", { name: "#1" }).click();
  await p.waitForURL("**/releases/**");
  const smoke = p.locator("[data-testid=action][data-kind=command]").first();
  assert.match(await smoke.innerText(), /✓\s*Succeeded/, "status is a shape and a word, not only a colour");
  await p.getByTestId("decide").getByRole("button", { name: "Approve 1.0.0" }).click();
  await confirm(p, "Approve 1.0.0", "looks good");
  await p.getByTestId("headline").getByText("1.0.0 went through every stage.").waitFor();
  assert.match(await p.locator("[data-testid=action][data-kind=approve]").innerText(), /Approved by mara[\s\S]*looks good/);

  const bad = await put("/v1/pipelines/shop/releases", { version: "1.1.0", who: "kim" });
  await p.goto(`${server.url}/releases/${bad.id}`);
  await p.locator("[data-testid=action][data-kind=approve]").getByRole("button", { name: "Approve" }).click();
  await confirm(p, "Approve 1.1.0", "onwards");
  await p.locator(".verdict .badge", { hasText: "Failed" }).waitFor();
  await p.locator("details[open] .output", { hasText: "1.1.0 does not start" }).waitFor();
  await p.getByText("1.0.0 → 1.1.0").first().waitFor();
  await p.getByRole("button", { name: "Retry production" }).click();
  await confirm(p, "Retry production", "once more");
  await p.getByText("Tried again by mara: “once more”").waitFor();
  assert.deepEqual(p.problems, []);
  await p.close();
});

test("builds are compared metric by metric, and the violation is named", noMock, async () => {
  const p = await page("/pipelines");
  await p.getByTestId("compared").getByRole("link", { name: "shop: DevToLimits" }).click();
  await p.waitForURL("**/builds?**");
  const grid = p.getByTestId("build-grid");
  await grid.getByRole("button", { name: /failure rate.*build 19: Violation/i }).click();
  await p.waitForURL(/build=/);
  const row = p.getByTestId("build-metrics").locator("tr", { hasText: /failure rate/i }).first();
  assert.match(await row.innerText(), /✕\s*Violation[\s\S]*≤ 5 %/);
  await grid.getByRole("button", { name: /^Verdict, build 17: OK/ }).click();
  await p.getByRole("heading", { name: "Build 17" }).waitFor();
  for (const name of ["Download report", "CSV", "JSON"]) {
    const res = await fetch(server.url + (await p.getByRole("link", { name, exact: true }).getAttribute("href")));
    assert.equal(res.status, 200, name);
    assert.match(await res.text(), /DevToLimits|avg/, name);
  }
  assert.deepEqual(p.problems, []);
  await p.close();
});

const everywhere = ["/", "/services", "/services/checkout", "/map", "/problems", "/rollouts", "/pipelines", "/guardians", "/guardians/checkout", "/traces", "/changes", "/flags", "/loadtests", "/workflows", "/audit"];
/** The screens of what the tests before have left behind. */
async function delivered() {
  if (process.env.TIDEGATE_MOCK) return [];
  const { problems } = await get("/v1/problems?limit=1");
  const { runs } = await get("/v1/rollout-runs?limit=1");
  const { releases } = await get("/v1/releases?limit=1");
  return [
    ...(problems ?? []).map((p) => `/problems/${p.id}`),
    ...(runs ?? []).map((r) => `/rollouts/${r.id}`),
    ...(releases ?? []).flatMap((r) => [`/releases/${r.id}`, `/pipelines/${r.pipeline}`]),
    "/builds?pipeline=shop&comparison=DevToLimits",
  ];
}

for (const [name, size] of Object.entries(sizes))
  for (const scheme of ["light", "dark"])
    test(`every screen fits ${name}, ${scheme}, without errors`, async () => {
      const v = await noGo();
      for (const path of [...everywhere, `/validations/${v.id}`, ...(await delivered())]) {
        const p = await page(path, { size, scheme });
        await settled(p);
        assert.equal(await sideways(p), 0, `${path} scrolls sideways`);
        assert.deepEqual(p.problems, [], path);
        await p.close();
      }
    });
