import { describe, expect, it } from "vitest";

import { absoluteDirectory, fromDirectory } from "./paths";

describe("paths", () => {
  it("joins a root and a directory below it", () => {
    expect(absoluteDirectory("/home/dev/", "repos/api")).toBe("/home/dev/repos/api");
    expect(absoluteDirectory("/home/dev", "")).toBe("/home/dev");
  });
  it("shortens what lies in the worker's directory, and nothing else", () => {
    expect(fromDirectory("/home/dev/api/src/a.rs", "/home/dev/api")).toBe("src/a.rs");
    expect(fromDirectory("home/dev/api/src/a.rs", "/home/dev/api")).toBe("src/a.rs");
    expect(fromDirectory("/home/dev/api-old/a.rs", "/home/dev/api")).toBe("/home/dev/api-old/a.rs");
    expect(fromDirectory("/home/dev/api", "/home/dev/api")).toBe("/home/dev/api");
    expect(fromDirectory("/etc/passwd", null)).toBe("/etc/passwd");
  });
});
