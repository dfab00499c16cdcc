import { expect, test } from "vitest";
import { runLook, undecided } from "./look";

test("a run says how it ended, or what it waits for", () => {
  expect(runLook({ state: "promoted", phase: "keep" }).word).toBe("Promoted");
  expect(runLook({ state: "aborted", phase: "done" }).tone).toBe("fail");
  expect(runLook({ state: "running", phase: "hold" })).toMatchObject({ tone: "inconclusive", word: "Holds" });
  expect(runLook({ state: "running", phase: "judge" }).tone).toBe("running");
});

test("what is promoted can be taken back while the old version is kept", () => {
  expect(undecided({ state: "promoted", phase: "keep" })).toBe(true);
  expect(undecided({ state: "promoted", phase: "done" })).toBe(false);
  expect(undecided({ state: "running", phase: "judge" })).toBe(true);
});
