import { afterEach, describe, expect, it, vi } from "vitest";

import { fetchConfig, parseConfig } from "./config";

const CONVEX = { backend: "convex", url: "https://some-animal-1.convex.cloud" };

describe("the configuration", () => {
  it("names the hub or a deployment", () => {
    expect(parseConfig('{"backend":"hub"}')).toEqual({ backend: "hub" });
    expect(parseConfig(JSON.stringify({ ...CONVEX, url: `${CONVEX.url}/`, more: 1 }))).toEqual(CONVEX);
    const auth = { issuer: "https://id.example.com", clientId: "page", scope: "openid" };
    expect(parseConfig(JSON.stringify({ ...CONVEX, auth }))).toEqual({ ...CONVEX, auth });
    expect(parseConfig(JSON.stringify({ ...CONVEX, auth: null }))).toEqual(CONVEX);
  });

  it.each([
    ["not json", "is not JSON"],
    ["[]", "is not an object"],
    ["{}", '"backend"'],
    ['{"backend":"other"}', '"backend"'],
    ['{"backend":"convex"}', '"url"'],
    ['{"backend":"convex","url":"javascript:alert(1)"}', '"url"'],
    [JSON.stringify({ ...CONVEX, auth: "x" }), '"auth" that is not an object'],
    [JSON.stringify({ ...CONVEX, auth: { clientId: "page" } }), '"issuer"'],
    [JSON.stringify({ ...CONVEX, auth: { issuer: "https://id.example.com" } }), '"clientId"'],
    [JSON.stringify({ ...CONVEX, auth: { issuer: "https://id.example.com", clientId: "x", scope: 1 } }), '"scope"'],
  ])("that says %s is told what is wrong with it", (text, what) => {
    expect(() => parseConfig(text)).toThrow(what);
  });
});

describe("fetching it", () => {
  afterEach(() => vi.unstubAllGlobals());
  const answers = (body: string, status: number, type = "application/json") =>
    vi.stubGlobal("fetch", () => Promise.resolve(new Response(body, { status, headers: { "content-type": type } })));

  it("finds the hub where there is none", async () => {
    answers("{}", 404);
    expect(await fetchConfig()).toEqual({ backend: "hub" });
    answers("<!doctype html>", 200, "text/html; charset=utf-8");
    expect(await fetchConfig(), "a host that answers with its own page").toEqual({ backend: "hub" });
  });

  it("finds the deployment", async () => {
    answers(JSON.stringify(CONVEX), 200);
    expect(await fetchConfig()).toEqual(CONVEX);
  });

  it("takes a broken host for no answer", async () => {
    answers("{}", 502);
    await expect(fetchConfig()).rejects.toMatchObject({ code: "unavailable" });
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
    await expect(fetchConfig()).rejects.toMatchObject({ code: "network" });
  });
});
