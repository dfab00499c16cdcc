import { expect, test } from "vitest";
import { inWords } from "./Watch";

test.each([
  ["inconclusive", { eValue: 3.04, needed: 20956 }, true, "Evidence that it is worse: 3.04 to 1. About 21\u202f000 more requests needed to pass."],
  ["inconclusive", { eValue: 1 }, true, "Evidence that it is worse: 1 to 1. Not decided yet."],
  ["inconclusive", { eValue: 1 }, false, "Evidence that it is worse: 1 to 1. Not decided."],
  ["pass", { eValue: 1 }, true, "Evidence that it is worse: 1 to 1. Enough was seen to pass; watched until the window ends."],
  ["pass", { eValue: 1 }, false, "Evidence that it is worse: 1 to 1."],
  ["fail", { eValue: 3106 }, false, "Evidence that it is worse: 3\u202f106 to 1. It fails at 200 to 1."],
  ["fail", { eValue: "+Inf" as unknown as number }, false, "Evidence that it is worse: over a million to 1. It fails at 200 to 1."],
  ["error", { eValue: null }, true, "It could not be read at the last look."],
])("%s %o", (status, look, running, want) => expect(inWords({ status, failAt: 200 }, look, running)).toBe(want));
