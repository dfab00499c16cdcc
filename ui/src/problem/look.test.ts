import { expect, test } from "vitest";
import type { Problem, ProblemCause } from "../api/types";
import { alongPath } from "../map/ServiceMap";
import { actionLook, open, pathServices, problemLook } from "./look";

test("a problem that is over is calm, whatever it was", () => {
  expect(problemLook({ severity: "error", state: "open" }).tone).toBe("fail");
  expect(problemLook({ severity: "error", state: "closed" })).toMatchObject({ tone: "pass", word: "Errors, over" });
  expect(problemLook({ severity: "of another kind", state: "open" }).word).toBe("Alert");
});

test("the path names each service once, down to the origin", () => {
  const c = { service: "shipping", path: [{ service: "frontend", operation: "a" }, { service: "checkout", operation: "b" }, { service: "checkout", operation: "c" }] } as ProblemCause;
  expect(pathServices(c)).toEqual(["frontend", "checkout", "shipping"]);
  expect(pathServices(undefined)).toEqual([]);
});

test("only calls from one service of the path to the next are on it", () => {
  const path = ["frontend", "checkout", "shipping"];
  expect(alongPath(path, "checkout", "shipping")).toBe(true);
  expect(alongPath(path, "frontend", "shipping")).toBe(false);
  expect(alongPath(path, "shipping", "checkout")).toBe(false);
});

test("open problems come worst first", () => {
  const p = (number: number, severity: string, state = "open") => ({ number, severity, state }) as Problem;
  expect(open([p(1, "slowdown"), p(2, "error", "closed"), p(3, "availability"), p(4, "error")]).map((x) => x.number)).toEqual([3, 4, 1]);
});

test("an action says how it ended before what it does", () => {
  expect(actionLook({ state: "ended", outcome: "healed" }).word).toBe("Healed");
  expect(actionLook({ state: "waiting" }).word).toBe("Waits for approval");
  expect(actionLook({ state: "verifying" }).tone).toBe("running");
});
