import { describe, expect, it } from "vitest";

import { cleanDirectory, problemOfDirectory } from "./directory";

describe("a worker's directory as typed", () => {
  it.each([
    ["repos/api", "repos/api"],
    [" ./repos//api/ ", "repos/api"],
    ["", ""],
    [".", ""],
    ["/home/dev/repos/api", "repos/api"],
    ["/home/dev", ""],
  ])("%j is %j below the root", (typed, clean) => {
    expect(problemOfDirectory(typed, "/home/dev/")).toBeNull();
    expect(cleanDirectory(typed, "/home/dev/")).toBe(clean);
  });
  it.each(["../x", "a/../../b", "~/x", "/etc", "/home/developer/x", "x".repeat(5_000)])(
    "%j is refused with a reason",
    (typed) => {
      expect(problemOfDirectory(typed, "/home/dev")).toMatch(/./);
    },
  );
});
