import { expect, test } from "vitest";
import { buildLook, releaseLook, reportHref, retriable, sentence, verdictHref } from "./look";

const r = { revision: { version: "1.4" }, stages: [{ name: "staging" }, { name: "production" }], stage: 1 } as Parameters<typeof sentence>[0];

test("every end has a shape and a word of its own", () => {
  const ends = ["succeeded", "failed", "rejected", "rolledBack", "superseded", "waiting", "running", "queued"].map(releaseLook);
  expect(new Set(ends.map((l) => l.glyph + l.word)).size).toBe(ends.length);
  expect(new Set(["ok", "violation", "inconclusive", "error", "running", "waiting", undefined].map((s) => buildLook(s).glyph)).size).toBe(7);
});

test("a release says in a sentence what became of it", () => {
  expect(sentence({ ...r, state: "succeeded" })).toBe("1.4 went through every stage.");
  expect(sentence({ ...r, state: "rolledBack", error: "production: errors went up" })).toBe("1.4 was taken back in production: errors went up");
  expect(sentence({ ...r, state: "waiting", waiting: "stage production is frozen until Monday" })).toBe("stage production is frozen until Monday");
});

test("only what ended badly is retried", () => {
  expect(retriable({ state: "rejected" })).toBe(true);
  expect(retriable({ state: "succeeded" })).toBe(false);
  expect(retriable({ state: "waiting" })).toBe(false);
});

test("a verdict leads to its validation, or to the report of its comparison", () => {
  expect(verdictHref({ of: "guardian", id: "v1", name: "checkout" }, "shop")).toBe("/validations/v1");
  expect(verdictHref({ of: "comparison", id: "c1", name: "Staging to production" }, "shop")).toBe("/builds?pipeline=shop&comparison=Staging+to+production&build=c1");
  expect(reportHref("a&b", "x")).toBe("/builds?pipeline=a%26b&comparison=x");
});
