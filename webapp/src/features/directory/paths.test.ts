import { describe, expect, it } from "vitest";

import {
  ancestorsOf,
  escapedName,
  folderOfUrl,
  isWithin,
  joinPath,
  nameOf,
  parentOf,
  problemOfName,
  shownName,
  typedName,
} from "./paths";

describe("paths", () => {
  it("are put together and taken apart", () => {
    expect(joinPath("", "a")).toBe("a");
    expect(joinPath("a/b", "c")).toBe("a/b/c");
    expect([parentOf("a/b/c"), parentOf("a"), parentOf("")]).toEqual(["a/b", "", ""]);
    expect([nameOf("a/b"), nameOf("a")]).toEqual(["b", "a"]);
    expect(ancestorsOf("a/b/c")).toEqual(["a", "a/b", "a/b/c"]);
    expect(ancestorsOf("")).toEqual([]);
  });
  it("know what lies in them", () => {
    expect([isWithin("a/b", "a"), isWithin("a", "a"), isWithin("ab", "a"), isWithin("x", "")]).toEqual([
      true,
      true,
      false,
      true,
    ]);
  });
});

describe("names", () => {
  it("are shown without deceiving", () => {
    expect(shownName("a\u202egnp.exe")).toBe("a\\u{202e}gnp.exe");
    expect(shownName("a\\\\b")).toBe("a\\b");
    expect(shownName("\\xff")).toBe("\\xff");
  });
  it("go to the wire and back", () => {
    expect(escapedName("a\\b")).toBe("a\\\\b");
    expect(typedName("a\\\\b")).toBe("a\\b");
    expect(typedName("a\\xffb")).toBeNull();
    expect(typedName("a\\\\xffb")).toBe("a\\xffb");
  });
  it.each([".", "..", "a/b", "a\nb", "ü".repeat(128)])("%j is refused with a reason", (typed) => {
    expect(problemOfName(typed)).toMatch(/./);
  });
  it("of any other kind are fine", () => expect(problemOfName("ü".repeat(127))).toBeNull());
});

describe("the folder of an address", () => {
  it.each([
    ["https://github.com/durable/streams.git", "streams"],
    ["https://github.com/durable/streams/", "streams"],
    ["git@github.com:durable/streams.git", "streams"],
    ["git@host:streams.git", "streams"],
    ["ssh://git@host:22/a/b", "b"],
    ["https://host", ""],
    ["", ""],
  ])("%s is %j", (url, name) => expect(folderOfUrl(url)).toBe(name));
});
