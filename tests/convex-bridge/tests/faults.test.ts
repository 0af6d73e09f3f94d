import { expect, test } from "vitest";
import { decodeTs, type ClientMessage } from "../src/protocol.ts";
import { bridge, client, httpClient, mutation, query, RawClient, Watch } from "./support.ts";

const note = (place: number) => ({ room: "a", place, text: "x" });
const add = (requestId: number, place: number): ClientMessage => ({
  type: "Mutation",
  requestId,
  udfPath: "notes:add",
  args: [note(place)],
});
const ran = (b: Awaited<ReturnType<typeof bridge>>): number => b.counts.snapshot().functions["notes:add"]?.client ?? 0;

test("the JavaScript client's mutation whose answer was lost runs once", async () => {
  const b = await bridge();
  const one = client(b.url);
  const watch = new Watch(one, query("notes:list"), { room: "a" });
  await watch.until(() => true);
  b.faults.drop("after", "notes:add");
  const id: unknown = await one.mutation(mutation("notes:add"), note(1));
  expect(ran(b)).toBe(1);
  expect((await b.tables()).notes).toMatchObject([{ _id: id }]);
  await watch.until((it) => (it as string[]).length === 1);
});

test("a mutation that was cut off before it ran runs once", async () => {
  const b = await bridge();
  b.faults.drop("before", "notes:add");
  await client(b.url).mutation(mutation("notes:add"), note(1));
  expect(ran(b)).toBe(1);
});

test("a client that comes back with another session runs it again, as the Rust client does", async () => {
  const b = await bridge();
  b.faults.drop("after");
  const first = await RawClient.open(b.url, "/api/sync", "session one");
  first.send(add(0, 1));
  await first.closed;
  expect(ran(b)).toBe(1);
  const second = await RawClient.open(b.url, "/api/sync", "session two");
  second.send(add(0, 1));
  expect(await second.next("MutationResponse")).toMatchObject({ success: true });
  expect(ran(b)).toBe(2);
  const third = await RawClient.open(b.url, "/api/sync", "session one");
  third.send(add(0, 1));
  expect(await third.next("MutationResponse")).toMatchObject({ success: true });
  expect(ran(b)).toBe(2);
});

test("over HTTP nobody notices a repetition", async () => {
  const b = await bridge();
  const http = httpClient(b.url);
  b.faults.drop("after");
  await expect(http.mutation(mutation("notes:add"), note(1))).rejects.toThrow();
  await http.mutation(mutation("notes:add"), note(1));
  expect((await b.tables()).notes).toHaveLength(2);
});

test("a restart ends connections; clients come back and timestamps go on", async () => {
  const b = await bridge();
  const watch = new Watch(client(b.url), query("notes:list"), { room: "a" });
  await watch.until(() => true);
  const raw = await RawClient.open(b.url);
  raw.send(add(0, 1));
  const before = await raw.next("MutationResponse");
  const url = b.url;
  await b.restart();
  await raw.closed;
  expect(b.url).toBe(url);
  const again = await RawClient.open(b.url);
  again.send(add(0, 2));
  const after = await again.next("MutationResponse");
  if (!before.success || !after.success) throw new Error("both succeed");
  expect(decodeTs(after.ts)).toBeGreaterThan(decodeTs(before.ts));
  await watch.until((it) => (it as string[]).length === 2);
});

test("while refused nothing gets in; afterwards the client catches up", async () => {
  const b = await bridge();
  const one = client(b.url);
  const watch = new Watch(one, query("notes:list"), { room: "a" });
  await watch.until(() => true);
  b.refuse(true);
  await expect(httpClient(b.url).mutation(mutation("notes:add"), note(1))).rejects.toThrow();
  const adding = one.mutation(mutation("notes:add"), note(2));
  expect(ran(b)).toBe(0);
  b.refuse(false);
  await adding;
  await watch.until((it) => (it as string[]).length === 1);
});

test("a client that has seen more than there is is turned away, to try again", async () => {
  const b = await bridge();
  const raw = await RawClient.open(b.url);
  const maxObservedTimestamp = "/////////38=";
  raw.send({ type: "Connect", sessionId: "s", connectionCount: 1, maxObservedTimestamp });
  expect(await raw.closed).toBe(1011);
});

test("a query set that does not follow on the last is a fatal error", async () => {
  const b = await bridge();
  const raw = await RawClient.open(b.url);
  raw.send({ type: "ModifyQuerySet", baseVersion: 3, newVersion: 4, modifications: [] });
  expect(await raw.next("FatalError")).toMatchObject({
    error: "Base version 3 passed up doesn't match the current version 0",
  });
  await raw.closed;
});

test("a held answer comes after its delay, and other functions are not held", async () => {
  const b = await bridge();
  b.faults.delay(300, "notes:add");
  const one = client(b.url);
  const order: string[] = [];
  const slow = one.mutation(mutation("notes:add"), note(1)).then(() => order.push("slow"));
  await httpClient(b.url).mutation(mutation("notes:now"), {});
  order.push("fast");
  await slow;
  expect(order).toEqual(["fast", "slow"]);
});
