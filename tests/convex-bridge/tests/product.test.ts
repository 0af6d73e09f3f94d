/** The project's own functions over the bridge: what the bridge is for. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { bridge, client, httpClient, issuer, mutation, query, T0, Watch } from "./support.ts";

const functions = fileURLToPath(new URL("../../../convex/functions", import.meta.url));

type Machines = { machines: { name: string; presence: { state: string } }[] };
type Created = { machineId: string; registrationKey: string };

let keys = 0;
/** A new idempotency key. */
const key = (): string => `idk_0${String((keys += 1)).padStart(25, "0")}`;

const person = async (name = "Ann"): Promise<{ setup: Parameters<typeof bridge>[0]; token: string }> => {
  const { provider, token } = await issuer();
  const setup = { functions, providers: [provider], virtualClockAt: T0, errors: "development" as const };
  return { setup, token: await token({ sub: name, iat: T0 / 1000, exp: T0 / 1000 + 3600 }) };
};

test("a person watches a machine come and go; signs of life run no subscription again", async () => {
  const { setup, token } = await person();
  const b = await bridge(setup);
  const ann = client(b.url);
  ann.setAuth(() => Promise.resolve(token));
  const list = new Watch<Machines>(ann, query("machine:list"), {});
  await list.until((it) => !(it instanceof Error));
  const created = (await ann.mutation(mutation("machine:create"), { args: { name: "box" }, key: key() })) as Created;
  const { machineId, registrationKey } = created;
  const machine = client(b.url);
  const registered: unknown = await machine.mutation(mutation("machine:register"), { args: { registrationKey } });
  const { secret } = registered as { secret: string };
  const args = { machineId, secret, wireVersion: 1, nonce: "n1" };
  const connected: unknown = await machine.mutation(mutation("machine:connect"), { args });
  const { connectionToken } = connected as { connectionToken: string };
  await machine.mutation(mutation("machine:heartbeat"), { token: connectionToken });
  const inbox = new Watch(machine, query("machine:inbox"), { token: connectionToken });
  await inbox.until((it) => !(it instanceof Error));
  await list.until((it) => (it as Machines).machines[0]?.presence.state === "online");

  await b.settled();
  b.counts.reset();
  for (let beat = 0; beat < 5; beat += 1) {
    await b.advance(15_000);
    await machine.mutation(mutation("machine:heartbeat"), { token: connectionToken });
  }
  await b.settled();
  expect(b.counts.snapshot().functions["machine:list"]?.rerun ?? 0).toBe(0);
  expect(b.counts.snapshot().functions["machine:inbox"]?.rerun ?? 0).toBe(0);
  await b.advance(60_000);
  await b.settled();
  expect((list.newest as Machines).machines[0]?.presence.state).not.toBe("online");
  expect(b.logged).toEqual([]);
});

test("a call that is made twice with one idempotency key is done once", async () => {
  const { setup, token } = await person();
  const b = await bridge(setup);
  const http = httpClient(b.url);
  http.setAuth(token);
  const call = { args: { name: "box" }, key: key() };
  b.faults.drop("after", "machine:create");
  await expect(http.mutation(mutation("machine:create"), call)).rejects.toThrow("fetch failed");
  const again: unknown = await http.mutation(mutation("machine:create"), call);
  expect((await b.tables()).machines).toMatchObject([{ id: (again as Created).machineId }]);
  expect(b.counts.snapshot().functions["machine:create"]?.client).toBe(2);
});

test("nobody is told so, and the envelope is checked", async () => {
  const b = await bridge({ functions, errors: "development" });
  const http = httpClient(b.url);
  await expect(http.query(query("machine:list"), {})).rejects.toMatchObject({
    data: { code: "unauthenticated", message: "You are not signed in. Sign in and try again." },
  });
  await expect(http.query(query("machine:list"), { surplus: 1 })).rejects.toThrow("ArgumentValidationError");
  expect(await http.query(query("system:version"), {})).toMatchObject({ wireVersion: 1 });
});
