// What every browser test needs: a server to look at and a Chromium to look
// with.
//
// The server is, in this order: TIDEGATE_URL (one that runs already), the
// development mock of ui/mock when TIDEGATE_MOCK=1, and otherwise the real
// binary with telemetry sent to it over OTLP (see real.mjs).
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

export async function startServer() {
  if (process.env.TIDEGATE_URL) return { url: process.env.TIDEGATE_URL, stop: async () => {} };
  if (process.env.TIDEGATE_MOCK) {
    const { start } = await import("../../ui/mock/server.mjs");
    return start(0);
  }
  const { startReal } = await import("./real.mjs");
  return startReal();
}

/** A Chromium with a profile of its own, gone when closed. */
export async function startBrowser() {
  const profile = await mkdtemp(join(tmpdir(), "tidegate-chromium-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    viewport: sizes.desktop,
    reducedMotion: "reduce",
  });
  browser.setDefaultTimeout(15_000);
  return {
    browser,
    stop: async () => {
      await browser.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/**
 * Opens a page that remembers what went wrong on it: exceptions, and errors
 * on the console, which is where a violated Content-Security-Policy shows.
 */
export async function open(browser, url, { size = sizes.desktop, scheme = "light" } = {}) {
  const page = await browser.newPage();
  page.problems = [];
  page.on("pageerror", (e) => page.problems.push(String(e)));
  page.on("console", (m) => m.type() === "error" && page.problems.push(m.text()));
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  await page.goto(url);
  return page;
}

/** How many pixels the page can be scrolled sideways; 0 is right. */
export const sideways = (page) =>
  page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth));

/** Waits until nothing on the page says that it is loading. */
export const settled = (page) => page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
