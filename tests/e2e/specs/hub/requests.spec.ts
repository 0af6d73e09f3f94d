import { request as httpRequest, type IncomingHttpHeaders } from "node:http";

import { expect, test } from "../../support/test.ts";

// The hub's own HTTP: on Convex there is none of ours, and what a page of another origin may do is up to Convex.

interface Answer {
  status: number;
  body: string;
  headers: IncomingHttpHeaders;
}

/** A request as no browser would send it. */
function raw(url: string, method: string, path: string, headers: Record<string, string>, body = ""): Promise<Answer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path, headers: { "content-length": String(Buffer.byteLength(body)), ...headers } }, (reply) => {
      let text = "";
      reply.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      reply.on("end", () => resolve({ status: reply.statusCode ?? 0, body: text, headers: reply.headers }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const JSON_TYPE = { "content-type": "application/json" };

test("without a session no call is answered", async ({ product }) => {
  for (const call of ["machine.list", "machine.create", "worker.chat.sendMessage"]) {
    const { status, body } = await raw(product.url, "POST", `/v1/${call}`, JSON_TYPE, "{}");
    expect(status, call).toBe(401);
    expect(body).not.toContain("mch_");
  }
});

test("other hosts and other origins are refused", async ({ product, signed }) => {
  const { host } = new URL(product.url);
  const cookie = signed.state.cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
  const own = { ...JSON_TYPE, cookie, "x-orchestrator": "1" };
  const list = (headers: Record<string, string>) => raw(product.url, "POST", "/v1/machine.list", headers, "{}");

  expect((await list({ ...own, host, origin: product.url })).status, "the page's own request").toBe(200);
  for (const evil of ["evil.example", "evil.example:80", "127.0.0.1.evil.example"]) {
    const refused = await list({ ...own, host: evil });
    expect(refused.status, evil).toBe(403);
    expect(refused.body).toContain("does not answer to the host");
    expect((await raw(product.url, "GET", "/", { host: evil })).status, `the page for ${evil}`).toBe(403);
  }
  expect((await list({ ...own, host: `${host}.evil.example` })).status, "no host at all").toBe(400);
  for (const origin of ["http://evil.example", "null", `http://${host}.evil.example`, "file://"]) {
    const refused = await list({ ...own, host, origin });
    expect(refused.status, origin).toBe(403);
    expect(refused.headers["access-control-allow-origin"]).toBeUndefined();
  }
  const { "x-orchestrator": _, ...noHeader } = own;
  expect((await list({ ...noHeader, host })).status, "a form of another page").toBe(403);
});

test("broken requests get a clear answer, and the hub goes on", async ({ page, product, signed }) => {
  const cookie = signed.state.cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
  const send = (body: string) => raw(product.url, "POST", "/v1/machine.create", { ...JSON_TYPE, cookie, "x-orchestrator": "1" }, body);
  for (const body of ["{", "[]", "null", `${"[".repeat(100_000)}`, `{"name": ${"[".repeat(200)}${"]".repeat(200)}}`, '{"name": 5}', `{"name": "${"x".repeat(1_000)}"}`]) {
    const { status, body: answer } = await send(body);
    expect(status, body.slice(0, 40)).toBeGreaterThanOrEqual(400);
    expect(status, body.slice(0, 40)).toBeLessThan(500);
    expect(JSON.parse(answer), body.slice(0, 40)).toHaveProperty("message");
  }
  expect((await send(`{"name": "${"x".repeat(600_000)}"}`)).status).toBe(413);
  await page.goto("/");
  await expect(page.getByTestId("machine-list")).toBeVisible();
});
