import { describe, expect, it } from "vitest";

import { hasEndlessWord, plainOutput, readable, readableLine, safeHref } from "./sanitise";

describe("readable", () => {
  it("drops control bytes and keeps what a person writes", () => {
    expect(readable("a\u0000b\u0007c\u001b[31m\td\ne\u009b")).toBe("abc[31m\td\ne");
    expect(readable("Grüße 中文 👩\u200d👩\u200d👧")).toBe("Grüße 中文 👩\u200d👩\u200d👧");
  });
  it("drops what turns the direction of reading", () => {
    expect(readable("evil\u202egnp.exe \u2066x\u2069\u200f")).toBe("evilgnp.exe x");
  });
  it("drops what nobody sees", () => {
    expect(readable("a\u{e0041}\u{e007f}b\u2060c\ufeffd")).toBe("abcd");
  });
  it("repairs lone surrogates and makes all line ends one", () => {
    expect(readable("a\ud800b")).toBe("a\ufffdb");
    expect(readable("a\r\nb\rc\u2028d")).toBe("a\nb\nc\nd");
  });
  it("makes one line of a name", () => expect(readableLine(" a\n b\t c ")).toBe("a b c"));
});

describe("plainOutput", () => {
  it("drops colours, cursor moves, titles and links", () => {
    expect(
      plainOutput(
        "\u001b[1;31mred\u001b[0m \u001b]0;title\u0007x\u001b]8;;http://evil\u001b\\link\u001b]8;;\u001b\\ \u001b[2Ky\u001b(B",
      ),
    ).toBe("red xlink y");
  });
  it("keeps the last state of a progress line", () => {
    expect(plainOutput("10%\r50%\r100%\ndone\r\n")).toBe("100%\ndone\n");
    expect(plainOutput("working\r")).toBe("working");
  });
  it("is quick on hostile input", () => {
    expect(plainOutput("\u001b]".repeat(50_000))).toBe("");
  });
});

describe("hasEndlessWord", () => {
  it("knows a word that would hold layout up", () => {
    expect(hasEndlessWord(`a ${"x".repeat(400)} b`)).toBe(true);
    expect(hasEndlessWord("word ".repeat(10_000))).toBe(false);
  });
});

describe("safeHref", () => {
  it.each(["http://a.example/x", "https://a.example/", "mailto:a@b.example"])("allows %s", (href) =>
    expect(safeHref(href)).toBe(href),
  );
  it.each([
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "\u0001javascript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://a/x",
    "//evil.example",
    "/v1/auth/sign-out",
    "#x",
    "",
    null,
    7,
  ])("refuses %s", (href) => expect(safeHref(href)).toBeNull());
});
