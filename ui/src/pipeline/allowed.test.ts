import { expect, test } from "vitest";
import { allowed } from "./allowed";

test.each([
  [{ lower: null, upper: 0.23 }, "s", "≤ 230 ms"],
  [{ lower: 120, upper: null }, "", "≥ 120"],
  [{ lower: 1, upper: 2 }, "s", "1 s to 2 s"],
  [{ lower: "-Inf", upper: "+Inf" }, "", "–"],
])("%o in %s is %s", (c, unit, want) => expect(allowed(c, unit)).toBe(want));
