import { describe, expect, it } from "vitest";

import { clockTime, countdown, duration, elapsed, shortAge } from "./time";

const NOON = new Date(2026, 10, 23, 12, 0).getTime();
const MINUTE = 60_000;

describe("times", () => {
  it("say the day only where it was another one", () => {
    expect(clockTime(NOON - 58 * MINUTE, NOON)).toBe("11:02");
    expect(clockTime(NOON - 3 * 24 * 60 * MINUTE, NOON)).toMatch(/20.*12:00|12:00.*20/);
  });
  it("are short in lists", () => {
    expect([1_000, 5 * MINUTE, 3 * 60 * MINUTE, 50 * 60 * MINUTE].map((age) => shortAge(NOON - age, NOON))).toEqual([
      "now",
      "5m",
      "3h",
      "2d",
    ]);
  });
  it("last", () => {
    expect([820, 12_400, 185_000, 3_720_000].map(duration)).toEqual(["0.8 s", "12 s", "3 min 05 s", "1 h 02 min"]);
    expect([4_900, 61_000].map(elapsed)).toEqual(["4 s", "1 min 01 s"]);
    expect([547_000, 3_600_000, -5].map(countdown)).toEqual(["9:07", "1:00:00", "0:00"]);
  });
});
