import { expect, test } from "vitest";
import { bridge, client, httpClient, mutation, query, Watch } from "./support.ts";

const note = (room: string, place: number, text = `${room}${place}`) => ({ room, place, text });

test("a subscription runs again exactly when its range is written", async () => {
  const b = await bridge();
  const http = httpClient(b.url);
  const watching = client(b.url);
  const watches = {
    list: new Watch(watching, query("notes:list"), { room: "a" }),
    first: new Watch(watching, query("notes:first"), { room: "a", from: 10 }),
    newest: new Watch(watching, query("notes:newest"), { room: "a", count: 2 }),
    everything: new Watch(watching, query("notes:everything"), {}),
    people: new Watch(watching, query("notes:people"), {}),
  };
  await Promise.all(Object.values(watches).map((it) => it.until(() => true)));
  /** Which of them a mutation made run again. */
  const rerunBy = async (work: Promise<unknown>): Promise<string[]> => {
    await work;
    await b.settled();
    const counted = Object.entries(b.counts.snapshot().functions).filter(([, count]) => count.rerun > 0);
    b.counts.reset();
    return counted.map(([path]) => path.replace("notes:", "")).sort();
  };
  b.counts.reset();
  const add = (room: string, place: number): Promise<string> =>
    http.mutation(mutation("notes:add"), note(room, place)) as Promise<string>;

  expect(await rerunBy(add("b", 10))).toEqual(["everything"]);
  expect(await rerunBy(add("a", 9))).toEqual(["everything", "list", "newest"]);
  // The first from 10 on was looked for to the end of the range, in vain.
  expect(await rerunBy(add("a", 20))).toEqual(["everything", "first", "list", "newest"]);
  // Now it was found at 20: what comes after does not matter to it.
  const far = await add("a", 30);
  expect(await rerunBy(Promise.resolve())).toEqual(["everything", "list", "newest"]);
  expect(await rerunBy(add("a", 15))).toEqual(["everything", "first", "list"]);
  // The two newest are 30 and 20: what is below does not matter to them.
  expect(await rerunBy(add("a", 16))).toEqual(["everything", "list"]);
  expect(await rerunBy(http.mutation(mutation("notes:edit"), { id: far, text: "new" }))).toEqual([
    "everything",
    "list",
    "newest",
  ]);
  // Nothing changes by writing what is there.
  expect(await rerunBy(http.mutation(mutation("notes:edit"), { id: far, text: "new" }))).toEqual([]);
  expect(await rerunBy(http.mutation(mutation("notes:remove"), { id: far }))).toEqual(["everything", "list", "newest"]);
  expect(watches.newest.newest).toEqual(["a20", "a16"]);
  expect(watches.first.newest).toBe("a15");
  expect(watches.list.newest).toEqual(["a9", "a15", "a16", "a20"]);
});

test("a point read depends on its document only, also when that does not exist", async () => {
  const b = await bridge();
  const http = httpClient(b.url);
  const id = (await http.mutation(mutation("notes:add"), note("a", 1))) as string;
  const watch = new Watch(client(b.url), query("notes:byId"), { id });
  await watch.until((it) => (it as { text: string }).text === "a1");
  await http.mutation(mutation("notes:add"), note("a", 2));
  await http.mutation(mutation("notes:edit"), { id, text: "other" });
  await watch.until((it) => (it as { text: string }).text === "other");
  await http.mutation(mutation("notes:remove"), { id });
  await b.settled();
  expect(watch.newest).toBeNull();
  expect(b.counts.snapshot().functions["notes:byId"]).toMatchObject({ first: 1, rerun: 2 });
});

test("the same value is not sent again", async () => {
  const b = await bridge();
  const watch = new Watch(client(b.url), query("notes:first"), { room: "a", from: 0 });
  await watch.until((it) => it === null);
  const http = httpClient(b.url);
  await http.mutation(mutation("notes:add"), note("a", 2, "same"));
  await watch.until((it) => it === "same");
  await http.mutation(mutation("notes:add"), note("a", 1, "same"));
  await b.settled();
  expect(b.counts.snapshot().functions["notes:first"]).toMatchObject({ first: 1, rerun: 2 });
  expect(watch.seen).toEqual([null, "same"]);
});

test("several subscribers of the same query share a run", async () => {
  const b = await bridge();
  const watches = [1, 2, 3].map(() => new Watch(client(b.url), query("notes:list"), { room: "a" }));
  await Promise.all(watches.map((it) => it.until(() => true)));
  expect(b.counts.snapshot().functions["notes:list"]).toMatchObject({ first: 1, cached: 2, calls: 3 });
  b.counts.reset();
  await httpClient(b.url).mutation(mutation("notes:add"), note("a", 1));
  await Promise.all(watches.map((it) => it.until((value) => (value as string[]).length === 1)));
  expect(b.counts.snapshot().functions["notes:list"]).toMatchObject({ rerun: 1, cached: 2, docsRead: 1, readKib: 1 });
});

test("a mutation's own client sees its effect when the mutation has resolved", async () => {
  const b = await bridge();
  const one = client(b.url);
  const watch = new Watch(one, query("notes:list"), { room: "a" });
  await watch.until(() => true);
  for (let place = 0; place < 20; place += 1) {
    await one.mutation(mutation("notes:add"), note("a", place));
    expect(watch.newest).toHaveLength(place + 1);
  }
});

test("a failed mutation leaves nothing and makes nothing run again", async () => {
  const b = await bridge();
  const one = client(b.url);
  const watch = new Watch(one, query("notes:list"), { room: "a" });
  await watch.until(() => true);
  await expect(one.mutation(mutation("notes:addAndFail"), note("a", 1))).rejects.toThrow();
  await b.settled();
  expect(watch.seen).toEqual([[]]);
  const { functions } = b.counts.snapshot();
  expect(functions["notes:list"]).toMatchObject({ first: 1, rerun: 0 });
  expect(functions["notes:addInside"]).toBeUndefined();
  expect(await b.tables()).toMatchObject({ notes: [], _scheduled_functions: [] });
});

test("a value of many megabytes reaches a JavaScript client in parts", async () => {
  const b = await bridge();
  const http = httpClient(b.url);
  for (let place = 0; place < 12; place += 1) {
    await http.mutation(mutation("notes:add"), note("a", place, "ä😀".repeat(150_000)));
  }
  const watch = new Watch<string[]>(client(b.url), query("notes:list"), { room: "a" });
  const value = await watch.until(() => true);
  expect(value).toHaveLength(12);
  expect((value as string[]).every((text) => text === "ä😀".repeat(150_000))).toBe(true);
  expect(b.counts.snapshot().sent.TransitionChunk?.messages).toBeGreaterThan(1);
});
