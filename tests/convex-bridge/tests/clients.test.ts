import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { ConvexReactClient } from "convex/react";
import { ConvexError } from "convex/values";
import { expect, test } from "vitest";
import WebSocket from "ws";
import { action, bridge, client, httpClient, mutation, query, RawClient, Watch } from "./support.ts";

const note = { room: "a", place: 1, text: "one" };

test("the three official clients call and watch", async () => {
  const b = await bridge();
  const http = httpClient(b.url);
  await http.mutation(mutation("notes:add"), note);
  expect(await http.query(query("notes:list"), { room: "a" })).toEqual(["one"]);
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the client's only caller of two routes
  expect(await http.consistentQuery(query("notes:list"), { room: "a" })).toEqual(["one"]);
  expect(await http.query(query("nested/deep:hello"), {})).toBe("hello");

  const one = client(b.url);
  expect(await one.query(query("notes:list"), { room: "a" })).toEqual(["one"]);
  await one.mutation(mutation("notes:add"), { ...note, place: 2, text: "two" });

  const react = new ConvexReactClient(b.url, {
    webSocketConstructor: WebSocket as unknown as typeof globalThis.WebSocket,
    unsavedChangesWarning: false,
    logger: false,
  });
  const watch = react.watchQuery(query("notes:list"), { room: "a" });
  const value = await new Promise((resolve) => {
    const stop = watch.onUpdate(() => {
      stop();
      resolve(watch.localQueryResult());
    });
  });
  expect(value).toEqual(["one", "two"]);
  await react.mutation(mutation("notes:add"), { ...note, place: 3, text: "three" });
  expect(await react.query(query("notes:list"), { room: "a" })).toEqual(["one", "two", "three"]);
  await react.close();
});

test("an action's writes are seen when it ends", async () => {
  const b = await bridge();
  const one = client(b.url);
  const watch = new Watch(one, query("notes:list"), { room: "a" });
  await watch.until(() => true);
  expect(await one.action(action("notes:addTwiceByAction"), note)).toBe("done");
  await watch.until((it) => (it as string[]).length === 2);
});

test("production hides what went wrong, but not a refusal's data", async () => {
  const b = await bridge();
  for (const asked of [client(b.url), httpClient(b.url)]) {
    const refusal: unknown = await asked.query(query("notes:refused"), {}).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ConvexError);
    expect((refusal as ConvexError<never>).data).toEqual({ code: "not_found", message: "No such note" });
    const hidden = /\[Request ID: [0-9a-f]{16}\] Server Error(\n {2}Called by client)?$/;
    await expect(asked.query(query("notes:broken"), {})).rejects.toThrow(hidden);
    await expect(asked.query(query("notes:missing"), {})).rejects.toThrow(hidden);
    await expect(asked.query(query("notes:list"), { rooms: "a" })).rejects.toThrow(hidden);
  }
  expect(b.logged.join("\n")).toContain("the secret reason");
  expect(b.logged.join("\n")).toContain("ArgumentValidationError: Object is missing the required field `room`.");
});

test("development shows it in Convex's words", async () => {
  const b = await bridge({ errors: "development" });
  const http = httpClient(b.url);
  await expect(http.query(query("notes:broken"), {})).rejects.toThrow(
    "Server Error\nUncaught Error: the secret reason",
  );
  const missing = "Could not find public function for 'notes:missing'.";
  await expect(http.query(query("notes:missing"), {})).rejects.toThrow(missing);
  await expect(http.mutation(mutation("notes:addInside"), note)).rejects.toThrow("'notes:addInside'");
  await expect(http.mutation(mutation("notes:list"), {})).rejects.toThrow(
    "Trying to execute notes.js:list as Mutation, but it is defined as Query.",
  );
  await expect(http.query(query("notes:list"), { room: "a", extra: 1 })).rejects.toThrow(
    "ArgumentValidationError: Object contains extra field `extra` that is not in the validator.\n\n" +
      'Object: {extra: 1.0, room: "a"}\nValidator: v.object({room: v.string()})',
  );
  await expect(http.query(query("notes:list"), { room: 1 })).rejects.toThrow(
    "ArgumentValidationError: Value does not match validator.\nPath: .room\nValue: 1.0\nValidator: v.string()",
  );
});

test("time stands still in a mutation, and a cached result that saw it grows old", async () => {
  const b = await bridge({ virtualClockAt: 1_000_000 });
  const http = httpClient(b.url);
  expect(await http.mutation(mutation("notes:now"), {})).toBe(1_000_000);
  expect(await http.query(query("notes:time"), {})).toBe(1_000_000);
  await b.advance(5_000);
  expect(await http.query(query("notes:time"), {})).toBe(1_000_000);
  await b.advance(5_000);
  expect(await http.query(query("notes:time"), {})).toBe(1_010_000);
  // Outside of the functions time is the platform's.
  expect(Date.now()).toBeGreaterThan(1_700_000_000_000);
});

test("Rust's path gets a transition in one piece, and every version follows on the one before", async () => {
  const b = await bridge();
  const raw = await RawClient.open(b.url, "/api/sync");
  for (let place = 0; place < 8; place += 1) {
    const args = [{ room: "a", place, text: "x".repeat(900_000) }];
    raw.send({ type: "Mutation", requestId: place, udfPath: "notes:add", args });
  }
  const add = { type: "Add" as const, queryId: 0, udfPath: "notes:list", args: [{ room: "a" }] };
  raw.send({ type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications: [add] });
  raw.send({ type: "Mutation", requestId: 8, udfPath: "notes:people", args: [{}] });
  while (raw.received.filter((it) => it.type === "MutationResponse").length < 9) {
    await raw.next("MutationResponse", raw.received.length);
  }
  await b.settled();
  const transitions = raw.received.filter((it) => it.type === "Transition");
  expect(raw.received.some((it) => it.type === "TransitionChunk")).toBe(false);
  expect(transitions.some((it) => JSON.stringify(it).length > 5_000_000)).toBe(true);
  transitions.reduce((before, it) => {
    expect(it.startVersion).toEqual(before);
    return it.endVersion;
  }, transitions[0]?.startVersion);
});

test("the program prints its address, is controlled over HTTP, and ends on SIGTERM", async () => {
  const folder = fileURLToPath(new URL("..", import.meta.url));
  const functions = `${folder}fixtures/functions`;
  const program = spawn(`${folder}bridge`, ["--functions", functions, "--control", "--virtual-clock"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(program.stdout, "data")) as [Buffer];
  const url = line.toString("utf8").trim();
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const post = (command: string, body: unknown): Promise<Response> =>
    fetch(`${url}/_bridge/${command}`, { method: "POST", body: JSON.stringify(body) });
  await httpClient(url).mutation(mutation("notes:addAfter"), { ...note, ms: 86_400_000 });
  expect((await post("advance", { ms: 86_400_000 })).status).toBe(200);
  expect(await httpClient(url).query(query("notes:list"), { room: "a" })).toEqual(["one"]);
  const tables = (await (await fetch(`${url}/_bridge/tables`)).json()) as { notes: { _creationTime: number }[] };
  expect(tables.notes[0]?._creationTime).toBe(1_767_225_600_000 + 86_400_000);
  // What control answers has happened, and control itself is not cut.
  for (const command of ["restart", "cut", "restart", "cut"]) expect((await post(command, {})).status).toBe(200);
  expect(await httpClient(url).query(query("notes:list"), { room: "a" })).toEqual(["one"]);
  expect((await post("advance", { ms: -1 })).status).toBe(400);
  expect((await post("nothing", {})).status).toBe(404);
  const page = await fetch(`${url}/_bridge/tables`, { headers: { Origin: "https://evil.test" } });
  expect(page.status).toBe(403);
  const ended = once(program, "exit");
  program.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
  expect(() => execFileSync("kill", ["-0", String(program.pid)], { stdio: "ignore" })).toThrow();
});
