import { expect, test } from "vitest";
import { bridge, httpClient, mutation, query } from "./support.ts";

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

test("values are held to Convex's limits", async () => {
  const http = httpClient((await bridge({ errors: "development" })).url);
  const echo = (value: unknown): Promise<unknown> => http.query(query("notes:echo"), { value });
  const list = Array.from({ length: 8_192 }, () => 0);
  expect(await echo(list)).toHaveLength(8_192);
  await expect(echo([...list, 0])).rejects.toThrow("Array length is too long (8193 > maximum length 8192)");
  const object = Object.fromEntries(list.slice(0, 1_025).map((_, index) => [`f${index}`, 0]));
  await expect(echo(object)).rejects.toThrow("Object has too many fields (1025 > maximum number 1024)");
  await expect(echo(nested(64))).rejects.toThrow("too nested");
  expect(await echo(nested(63))).toEqual(nested(63));
  await expect(echo("😀".slice(0, 1))).rejects.toThrow("unpaired surrogate");
  await expect(echo("x".repeat(17 << 20))).rejects.toThrow("Value is too large");
});

test("a document has a size, and a mutation that goes beyond leaves nothing", async () => {
  const b = await bridge({ errors: "development" });
  const http = httpClient(b.url);
  const add = (bytes: number): Promise<unknown> =>
    http.mutation(mutation("notes:add"), { room: "a", place: 1, text: "x".repeat(bytes) });
  await add(1_000_000);
  await expect(add(1 << 20)).rejects.toThrow("Value is too large");
  expect((await b.tables()).notes).toHaveLength(1);
});
