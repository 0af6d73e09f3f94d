import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, expect, test } from "vitest";
import { bridge, client, httpClient, issuer, query, RawClient, T0, Watch } from "./support.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

test("a token's person reaches the functions, over both ways", async () => {
  const { provider, token } = await issuer();
  const b = await bridge({ providers: [provider] });
  const identity = { tokenIdentifier: "https://tokens.test|ann", issuer: "https://tokens.test", subject: "ann" };
  const http = httpClient(b.url);
  expect(await http.query(query("notes:who"), {})).toBeNull();
  http.setAuth(await token({ name: "Ann" }));
  expect(await http.query(query("notes:who"), {})).toEqual({ ...identity, name: "Ann" });
  const one = client(b.url);
  const watch = new Watch(one, query("notes:who"), {});
  await watch.until((it) => it === null);
  // The same person without the name: not what is cached for the other token.
  one.setAuth(() => token());
  await watch.until((it) => it !== null);
  expect(watch.newest).toEqual(identity);
});

test("a wrong token is a 401 over HTTP and an AuthError over the socket", async () => {
  const { provider, token } = await issuer();
  const other = await issuer();
  const b = await bridge({ providers: [provider] });
  const now = Math.floor(Date.now() / 1000);
  const cases: [string, string][] = [
    ["nonsense", "Could not parse JWT payload."],
    [await token({ iss: "https://else.test" }), "No auth provider found matching the given token"],
    [await token({ aud: "else" }), "No auth provider found matching the given token"],
    [await token({}, {}), "JWT may be missing a 'kid' (key ID) header."],
    [await token({}, { kid: "k2" }), "doesn't match any key"],
    [await other.token(), "the JWT signature is invalid"],
    [await token({ exp: now - 60 }), "Could not validate token: Token expired"],
    [await token({ iat: now + 60 }), "Token issued in the future"],
  ];
  for (const [value, text] of cases) {
    const http = httpClient(b.url);
    http.setAuth(value);
    await expect(http.query(query("notes:who"), {})).rejects.toThrow(text);
    const raw = await RawClient.open(b.url);
    raw.send({ type: "Authenticate", baseVersion: 0, tokenType: "User", value });
    const error = await raw.next("AuthError");
    expect(error).toMatchObject({ baseVersion: 0, authUpdateAttempted: true });
    expect(error.error).toContain(text);
    await raw.closed;
  }
});

test("the official client reports that it is not signed in after a wrong token", async () => {
  const b = await bridge();
  const { token } = await issuer();
  const one = client(b.url);
  const signedIn = await new Promise((resolve) => one.setAuth(() => token(), resolve));
  expect(signedIn).toBe(false);
});

test("when a token expires the connection ends at the next run, and the client goes on without it", async () => {
  const { provider, token } = await issuer();
  const b = await bridge({ providers: [provider], virtualClockAt: T0 });
  const value = await token({ iat: T0 / 1000, exp: T0 / 1000 + 60 });
  const raw = await RawClient.open(b.url);
  raw.send({ type: "Authenticate", baseVersion: 0, tokenType: "User", value });
  expect(await raw.next("Transition")).toMatchObject({ endVersion: { identity: 1 } });
  const one = client(b.url);
  // A token once, then none: what a page does whose sign-in has run out.
  const tokens = [value];
  const changes: boolean[] = [];
  const watch = new Watch(one, query("notes:who"), {});
  await new Promise<void>((resolve) =>
    one.setAuth(
      ({ forceRefreshToken }) =>
        Promise.resolve(forceRefreshToken && changes.length === 0 ? value : (tokens.pop() ?? null)),
      (is) => {
        changes.push(is);
        resolve();
      },
    ),
  );
  await watch.until((it) => it !== null);
  await b.advance(61_000);
  raw.send({ type: "Mutation", requestId: 0, udfPath: "notes:now", args: [{}] });
  expect(await raw.next("AuthError")).toMatchObject({
    error: "Convex token identity expired",
    baseVersion: 1,
    authUpdateAttempted: false,
  });
  await raw.closed;
  // The official client's next run finds out too; it asks for a token, gets none, and goes on as nobody.
  const second = new Watch(one, query("notes:list"), { room: "a" });
  await second.until(() => true);
  await watch.until((it) => it === null);
  expect(changes).toEqual([true, false]);
});

test("an OIDC provider is discovered", async () => {
  const { publicKey, privateKey } = await generateKeyPair("RS256");
  const jwk = { ...(await exportJWK(publicKey)), kid: "r1", alg: "RS256", use: "sig" };
  const server = createServer((request, response) => {
    const body =
      request.url === "/keys" ? { keys: [jwk] } : { issuer: domain, jwks_uri: `${domain}/keys`, id: request.url };
    response.setHeader("Content-Type", "application/json").end(JSON.stringify(body));
  });
  closing.push(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const domain = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const b = await bridge({ providers: [{ domain, applicationID: "app" }] });
  const http = httpClient(b.url);
  http.setAuth(
    await new SignJWT({ email: "bob@example.test", email_verified: true, given_name: "Bob" })
      .setProtectedHeader({ alg: "RS256", kid: "r1" })
      .setIssuer(domain)
      .setAudience("app")
      .setSubject("bob")
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(privateKey),
  );
  expect(await http.query(query("notes:who"), {})).toEqual({
    tokenIdentifier: `${domain}|bob`,
    issuer: domain,
    subject: "bob",
    email: "bob@example.test",
    emailVerified: true,
    givenName: "Bob",
  });
});
