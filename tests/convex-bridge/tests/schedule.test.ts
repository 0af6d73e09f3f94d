import { afterEach, expect, test, vi } from "vitest";
import { bridge, client, httpClient, mutation, query, T0, Watch } from "./support.ts";

const DAY_MS = 86_400_000;
const note = (place: number, ms: number) => ({ room: "a", place, text: `n${place}`, ms });

afterEach(() => void vi.useRealTimers());

test("scheduled functions run in order at their times, and subscriptions see it", async () => {
  const b = await bridge({ virtualClockAt: T0 });
  const http = httpClient(b.url);
  const watch = new Watch(client(b.url), query("notes:list"), { room: "a" });
  await watch.until(() => true);
  await http.mutation(mutation("notes:addAfter"), note(2, 2_000));
  await http.mutation(mutation("notes:addAfter"), note(1, 1_000));
  await http.mutation(mutation("notes:addAfter"), note(9, 400 * DAY_MS));
  await b.advance(999);
  await b.settled();
  expect(watch.newest).toEqual([]);
  await b.advance(1_501);
  await b.settled();
  expect(watch.seen).toEqual([[], ["n1"], ["n1", "n2"]]);
  const { notes } = await b.tables();
  expect((notes as { _creationTime: number }[]).map((it) => it._creationTime)).toEqual([T0 + 1_000, T0 + 2_000]);
  await b.advance(400 * DAY_MS);
  await b.settled();
  expect(watch.newest).toEqual(["n1", "n2", "n9"]);
  expect(b.counts.snapshot().functions["notes:addInside"]).toMatchObject({ scheduled: 3, calls: 3, docsWritten: 3 });
});

test("what was cancelled does not run and does not count", async () => {
  const b = await bridge({ virtualClockAt: T0 });
  const http = httpClient(b.url);
  const id: unknown = await http.mutation(mutation("notes:addAfter"), note(1, 1_000));
  await http.mutation(mutation("notes:cancel"), { id });
  await b.advance(10_000);
  expect(await http.query(query("notes:list"), { room: "a" })).toEqual([]);
  expect(b.counts.snapshot().functions["notes:addInside"]).toBeUndefined();
});

test("in real time too", async () => {
  const b = await bridge();
  const watch = new Watch(client(b.url), query("notes:list"), { room: "a" });
  await watch.until(() => true);
  await httpClient(b.url).mutation(mutation("notes:addAfter"), note(1, 30));
  await watch.until((it) => (it as string[]).length === 1);
});

test("a time farther than setTimeout reaches is waited for in steps", async () => {
  vi.useFakeTimers({ now: T0 });
  vi.resetModules();
  const { RealClock } = await import("../src/clock.ts");
  const clock = new RealClock();
  const met: number[] = [];
  clock.at(T0 + 365 * DAY_MS, () => {
    met.push(Date.now());
    return Promise.resolve();
  });
  await vi.advanceTimersByTimeAsync(364 * DAY_MS);
  expect(met).toEqual([]);
  await vi.advanceTimersByTimeAsync(DAY_MS);
  expect(met).toEqual([T0 + 365 * DAY_MS]);
});
