import { ConvexError } from "convex/values";
import { expect, test } from "vitest";
import { checkedPath, checkedTarget } from "../../../../convex/model/paths.ts";
import { boundedReason, byteLength, checkedName, titleFrom, trimmed } from "../../../../convex/model/texts.ts";

const code = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return (error as ConvexError<{ code: string }>).data.code;
  }
  return "none";
};

test("blanks are those of Unicode, as on the Rust side", () => {
  expect(trimmed("\u{85}\u{2028} \tbox \u{3000}\n")).toBe("box");
  expect(trimmed("\u{feff}box")).toBe("\u{feff}box");
  expect(trimmed(" ".repeat(500_000))).toBe("");
});

test("a name is measured in bytes and has no control characters", () => {
  expect(checkedName(`  ${"é".repeat(32)} `)).toBe("é".repeat(32));
  expect(code(() => checkedName("é".repeat(33)))).toBe("too_large");
  expect(code(() => checkedName("   "))).toBe("invalid");
  expect(code(() => checkedName("a\u{7}b"))).toBe("invalid");
  expect(code(() => checkedName("a\u{9f}b"))).toBe("invalid");
});

test("a reason is cut between two characters", () => {
  expect(boundedReason("a".repeat(2_048))).toBe("a".repeat(2_048));
  expect(boundedReason("a".repeat(2_049))).toBe(`${"a".repeat(2_048)}…`);
  expect(boundedReason("😀".repeat(513))).toBe(`${"😀".repeat(512)}…`);
  expect(boundedReason(`a${"😀".repeat(512)}`)).toBe(`a${"😀".repeat(511)}…`);
});

test("a title is a message's first line, cut at a word", () => {
  expect(titleFrom("\n \r\n  Fix the\ttests  \r\nand more")).toBe("Fix thetests");
  expect(titleFrom("word ".repeat(20))).toBe(`${"word ".repeat(12).trim()}…`);
  const long = titleFrom("ü".repeat(100));
  expect(byteLength(long)).toBeLessThanOrEqual(64);
  expect(long).toBe(`${"ü".repeat(30)}…`);
});

test("a path has one form", () => {
  for (const [path, form] of [
    ["", ""],
    [".", ""],
    ["a//b/./c/", "a/b/c"],
    ["a/..b/...", "a/..b/..."],
    ["ä/ö", "ä/ö"],
  ] as const) {
    expect(checkedPath(path)).toBe(form);
  }
  for (const path of ["/a", "a/../b", "..", "a\nb", "a\u{0}"])
    expect(
      code(() => checkedPath(path)),
      path,
    ).toBe("invalid");
  expect(code(() => checkedPath("é".repeat(2_049)))).toBe("too_large");
  expect(code(() => checkedTarget("./"))).toBe("invalid");
});
