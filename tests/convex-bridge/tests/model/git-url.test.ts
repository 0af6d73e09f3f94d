/** The table of crates/protocol/src/git_url.rs. */
import { expect, test } from "vitest";
import { check, PROTOCOLS_BY_DEFAULT, type Refused } from "../../../../convex/model/gitUrl.ts";

const why = (url: string): Refused["why"] | undefined => check(url, PROTOCOLS_BY_DEFAULT)?.why;

test.each([
  "https://github.com/a/b.git",
  "HTTPS://me@github.com:8443/a/b",
  "https://[::1]:8443/a",
  "https://example.org/My%20Project/_git/a",
  "ssh://git@host:22/~me/a.git",
  "git@github.com:a/b.git",
  "host:a",
  "me@[::1]:a",
])("%s passes", (url) => {
  expect(why(url)).toBeUndefined();
});

test.each([
  "--upload-pack=touch x",
  "-u",
  "--upload-pack=x",
  "ssh://-oProxyCommand=x/a",
  "ssh://%2doProxyCommand=x/a",
  "ssh://me@-oProxyCommand=x/a",
  "ssh://-oProxyCommand=x@host/a",
  "ssh://[-oProxyCommand=x]/a",
  "-oProxyCommand=x:a",
  "me@-oProxyCommand=x:a",
  "host:-a",
])("%s would be taken for an option", (url) => {
  expect(["leadingDash", "badCharacter"]).toContain(why(url));
});

test.each([
  "ext::sh -c x",
  "ext::x",
  "ext::x://y",
  "fd::17",
  "file:///etc",
  "FILE:///etc",
  "git://host/a",
  "http://host/a",
  "ftp://host/a",
  "https::a",
  "dangerous+ext://x/y",
])("%s runs a program or reads the disk", (url) => {
  expect(["protocol", "badCharacter"]).toContain(why(url));
});

test.each(["/etc", "./x", "../x", "x", "a/b:c", "~/x"])("%s is a path", (url) => {
  expect(why(url)).toBe("path");
});

test("an operator may allow more", () => {
  const allowed = ["file", "http"] as const;
  expect(check("file:///srv/a", allowed)).toBeNull();
  expect(check("http://host/a", allowed)).toBeNull();
  expect(check("https://host/a", allowed)?.message).toBe(
    'Repositories can\'t be cloned by "https"; use file:// or http://.',
  );
});

test.each([
  "https://me:hunter2@host/a",
  "https://:hunter2@host/a",
  "https://me%3ahunter2@host/a",
  "https://ghp_hunter2@github.com/a",
  "ssh://me:hunter2@host/a",
])("%s has a password, which is not repeated", (url) => {
  const refused = check(url, PROTOCOLS_BY_DEFAULT);
  expect(refused?.why).toBe("password");
  expect(refused?.message).toContain("credential helper");
  expect(refused?.message).not.toContain("hunter2");
});

test.each([
  "https://host/a\nb",
  "https://host/a%0ab",
  "https://host/a b",
  "https://host/\u{0}",
  "https://ho\tst/a",
  "https://host/a%00",
  "https://host/\u{2028}x",
])("%j has odd characters", (url) => {
  expect(why(url)).toBe("badCharacter");
});

test("what names nothing is refused", () => {
  expect(why("")).toBe("empty");
  expect(why(`https://h/${"a".repeat(2_048)}`)).toBe("tooLong");
  for (const url of [
    "https:///a",
    "https://me@/a",
    "https://a b/c",
    "https://h:99999/a",
    "https://h$x/a",
    "ssh://[::1/a",
  ]) {
    expect(["host", "badCharacter"], url).toContain(why(url));
  }
  for (const url of ["@-@a:@", "a@-b@c:d", "ssh://a%40-b@c/d"]) expect(why(url), url).toBe("host");
  for (const url of ["https://host", "https://host/", "host:", "ssh://host//"])
    expect(why(url), url).toBe("noRepository");
});
