import { describe, expect, test } from "vitest";
import { count, percent, quantity } from "./number";
import { isZeroTime, parseTime, relative, seconds } from "./time";

describe("instants", () => {
  test("keep what is finer than a millisecond", () => {
    const a = parseTime("2026-11-21T02:06:13.123456789Z");
    const b = parseTime("2026-11-21T02:06:13.123Z");
    expect(a - b).toBeCloseTo(0.456789, 2);
    expect(b).toBe(Date.parse("2026-11-21T02:06:13.123Z"));
  });
  test("understand offsets", () => {
    expect(parseTime("2026-11-21T03:06:13.5+01:00")).toBe(Date.parse("2026-11-21T02:06:13.500Z"));
  });
  test("know Go's zero time", () => {
    expect(isZeroTime("0001-01-01T00:00:00Z")).toBe(true);
    expect(isZeroTime("2026-11-21T02:06:13Z")).toBe(false);
  });
  test.each([
    [1_000, "just now"],
    [41_000, "41 s ago"],
    [190_000, "3 min ago"],
    [-30_000, "in 30 s"],
    [3 * 86_400_000, "3 d ago"],
  ])("%i ms earlier is %s", (d, want) => {
    expect(relative(1e12 - d, 1e12)).toBe(want);
  });
});

test.each([
  [0.000412, "412 µs"],
  [0.0182, "18.2 ms"],
  [0.9999, "1 s"],
  [1.354, "1.35 s"],
  [125, "2 min 5 s"],
  [3 * 3600 + 59, "3 h 59 s"],
  [0, "0 s"],
  [null, "–"],
])("%s s reads %s", (s, want) => expect(seconds(s)).toBe(want));

test.each([
  [0, "0 %"],
  [0.00001, "< 0.01 %"],
  [0.4961, "49.6 %"],
  [1, "100 %"],
])("ratio %d reads %s", (r, want) => expect(percent(r)).toBe(want));

test("counts stay short", () => {
  expect(count(999)).toBe("999");
  expect(count(12345)).toBe("12\u202f345");
  expect(count(1234567)).toBe("1.23 M");
});

test("indicators carry their unit", () => {
  expect(quantity(0.2, "distribution", "s")).toBe("200 ms");
  expect(quantity(0.5, "ratio")).toBe("50 %");
  expect(quantity(20, "rate")).toBe("20/s");
  expect(quantity(12.5, "value", "EUR")).toBe("12.5 EUR");
  expect(quantity("+Inf", "rate")).toBe("∞");
  expect(quantity(null, "ratio")).toBe("–");
});
