import { describe, expect, it } from "vitest";

import { inputOf } from "./tool-input";

describe("the input of a tool call", () => {
  it("of bash is its command", () => {
    expect(inputOf("bash", '{"command":"ls -l","description":"List files","timeout":5}')).toEqual({
      headline: "List files",
      rows: [
        { label: "command", text: "ls -l" },
        { label: "timeout", text: "5" },
      ],
      diff: null,
    });
  });
  it("of an edit is a diff", () => {
    expect(inputOf("edit", '{"filePath":"/a.rs","oldString":"a\\nb","newString":"c"}')).toEqual({
      headline: "/a.rs",
      rows: [],
      diff: "-a\n-b\n+c",
    });
  });
  it("of anything else are its arguments", () => {
    expect(inputOf("grep", '{"pattern":"x","include":["*.rs"]}')).toMatchObject({
      headline: "x",
      rows: [{ label: "pattern" }, { label: "include", text: '[\n  "*.rs"\n]' }],
    });
  });
  it("that does not read is shown as it came", () => {
    for (const text of ['{"command":"ls', "[1]", "null", "hello"])
      expect(inputOf("bash", text).rows).toEqual([{ label: "input", text }]);
    expect(inputOf("bash", "")).toEqual({ headline: "", rows: [], diff: null });
  });
});
