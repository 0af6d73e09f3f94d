import { ConvexError } from "convex/values";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { BackendError, type ConnectionState } from "../backend";
import { WIRE_VERSION, WIRE_VERSION_MIN } from "../wire.gen";
import { CALL_TIMEOUT_MS } from "./connection";
import { convexName } from "./names";
import { Scripted, START, tick } from "./scripted";

const CHAT = "cht_00000000000000000000000000";
const TURN = "trn_00000000000000000000000000";

const page = new Scripted();
beforeEach(() => page.begin());
afterEach(() => page.end());

describe("names", () => {
  it("are those of the contract, as Convex writes them", () => {
    expect(convexName("machine.list")).toBe("machine:list");
    expect(convexName("machine.command.request")).toBe("machine/command:request");
    expect(convexName("worker.chat.startSession")).toBe("worker/chat:startSession");
    expect(convexName("schedule.cancelRun")).toBe("schedule:cancelRun");
  });
});

describe("the connection", () => {
  it("is live once the deployment has spoken, and stale as of the last it said", async () => {
    page.openSignedIn();
    const states: ConnectionState[] = [];
    page.backend.connection.subscribe(() => states.push(page.backend.connection.get()));
    const client = page.client;
    client.connected = true;
    client.events.onConnection();
    client.auth?.onChange(true);
    expect(page.backend.connection.get().kind).toBe("connecting");
    client.events.onMessage();
    await tick();
    await vi.advanceTimersByTimeAsync(9_000);
    client.drop();
    client.connected = true;
    client.events.onConnection();
    client.events.onMessage();
    await tick();
    expect(states).toEqual([{ kind: "live" }, { kind: "stale", since: START }, { kind: "live" }]);
  });

  it("is built anew when the deployment has ended it for good; calls are repeated under their key", async () => {
    const client = page.connected();
    const machines = vi.fn();
    page.backend.watch("machine.list", {}, machines);
    client.give("machine:list", { value: { machines: [] } });
    const calling = page.backend.call("machine.create", { name: "box" }, { key: "idk_1" });
    await tick();
    expect(client.mutations).toHaveLength(1);
    client.events.onFatal();
    expect(client.closed).toBe(true);
    expect(page.backend.connection.get().kind).toBe("stale");
    await tick();
    const next = page.client;
    expect(next).not.toBe(client);
    next.accept();
    next.give("machine:list", { value: { machines: [] } });
    expect(machines, "the same value disturbs nobody").toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(next.mutations).toMatchObject([
      { name: "machine:create", envelope: { args: { name: "box" }, key: "idk_1" } },
    ]);
    next.mutations[0]?.resolve({ machineId: "m" });
    await expect(calling).resolves.toEqual({ machineId: "m" });
  });

  it("that was silent while the computer slept is not waited for", async () => {
    const client = page.connected();
    await vi.advanceTimersByTimeAsync(120_000);
    window.dispatchEvent(new Event("online"));
    await tick();
    expect(client.closed).toBe(true);
    expect(page.clients.clients).toHaveLength(2);
  });
});

describe("a call", () => {
  it("is a mutation with its key in the envelope", async () => {
    const client = page.connected();
    const calling = page.backend.call(
      "worker.chat.sendMessage",
      { chatSessionId: CHAT, message: "hello" },
      { key: "idk_7" },
    );
    await tick();
    expect(client.mutations).toMatchObject([
      { name: "worker/chat:sendMessage", envelope: { args: { chatSessionId: CHAT, message: "hello" }, key: "idk_7" } },
    ]);
    client.mutations[0]?.resolve({ turn: { id: TURN } });
    await expect(calling).resolves.toEqual({ turn: { id: TURN } });
  });

  it("that asks is a query, let go of when it is answered", async () => {
    const client = page.connected();
    const calling = page.backend.call("worker.chat.transcript", { chatSessionId: CHAT, turnIds: [TURN] });
    await tick();
    client.give("worker/chat:transcript", { value: { turns: [], hasEarlier: false } });
    await expect(calling).resolves.toEqual({ turns: [], hasEarlier: false });
    expect(client.of("worker/chat:transcript")).toHaveLength(0);
  });

  it("tells why it was refused", async () => {
    const client = page.connected();
    const calling = page.backend.call("machine.rename", { machineId: "mch_1", name: "" });
    await tick();
    client.mutations[0]?.reject(new ConvexError({ code: "invalid", message: "The name is empty.", retryAfterMs: 5 }));
    await expect(calling).rejects.toEqual(new BackendError("invalid", "The name is empty.", 5));
  });

  it("waits for the connection, is not handed over without one, and gives up in time", async () => {
    const client = page.connected();
    client.drop();
    const calling = page.backend.call("machine.create", { name: "box" });
    const outcome = expect(calling).rejects.toMatchObject({ code: "network", isRetryable: true });
    await vi.advanceTimersByTimeAsync(CALL_TIMEOUT_MS);
    await outcome;
    client.accept();
    await tick();
    expect(client.mutations, "what was given up is not sent later").toHaveLength(0);
  });

  it("whose answer does not come is lost, and is the same call when repeated", async () => {
    const client = page.connected();
    const first = page.backend.call("machine.create", { name: "box" }, { key: "idk_9" });
    const lost = expect(first).rejects.toMatchObject({ code: "network" });
    await vi.advanceTimersByTimeAsync(CALL_TIMEOUT_MS - 1_000);
    client.events.onMessage();
    await vi.advanceTimersByTimeAsync(1_000);
    await lost;
    page.backend.call("machine.create", { name: "box" }, { key: "idk_9" }).catch(() => undefined);
    await tick();
    expect(client.mutations.map(({ envelope }) => envelope.key)).toEqual(["idk_9", "idk_9"]);
  });

  it("that meets silence finds the connection dead, and says so", async () => {
    const client = page.connected();
    const calling = page.backend.call("machine.create", { name: "box" });
    const lost = expect(calling).rejects.toMatchObject({ code: "network" });
    await vi.advanceTimersByTimeAsync(CALL_TIMEOUT_MS);
    await lost;
    expect(client.closed).toBe(true);
    expect(page.backend.connection.get()).toEqual({ kind: "stale", since: START });
    await vi.advanceTimersByTimeAsync(1);
    page.client.accept();
    expect(page.backend.connection.get()).toEqual({ kind: "live" });
  });

  it("that the deployment was too busy for is repeated under one key", async () => {
    const client = page.connected();
    const calling = page.backend.call("machine.create", { name: "box" });
    await tick();
    client.mutations[0]?.reject(new Error('{"code":"OptimisticConcurrencyControlFailure","message":"…"}'));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(client.mutations).toHaveLength(2);
    expect(client.mutations[1]?.envelope.key).toBe(client.mutations[0]?.envelope.key);
    client.mutations[1]?.resolve({});
    await expect(calling).resolves.toEqual({});
  });

  it("at which the deployment fails says where to look", async () => {
    const client = page.connected();
    const calling = page.backend.call("machine.create", { name: "box" });
    await tick();
    client.mutations[0]?.reject(
      new Error("[CONVEX M(machine:create)] [Request ID: 1f2e] Server Error\n  Called by client"),
    );
    await expect(calling).rejects.toMatchObject({
      code: "internal",
      message:
        "The Convex deployment failed at machine:create: [Request ID: 1f2e] Server Error. Its logs (npx convex logs) say more.",
    });
  });
});

describe("versions", () => {
  it("are asked for without a sign-in's arguments, and fit", () => {
    const client = page.connected();
    expect(client.of("system:version")[0]?.envelope).toEqual({});
    client.give("system:version", { value: { wireVersion: WIRE_VERSION, wireVersionMin: WIRE_VERSION_MIN } });
    expect(page.backend.connection.get().kind).toBe("live");
  });

  it("an older deployment: says so, what to run, and goes on once it is there", async () => {
    const client = page.connected();
    client.give("system:version", { value: { wireVersion: WIRE_VERSION_MIN - 1, wireVersionMin: 0 } });
    expect(page.backend.connection.get()).toMatchObject({
      kind: "upgrade",
      message: expect.stringMatching(/deployment is too old.*npx convex deploy/) as string,
    });
    await expect(page.backend.call("machine.create", { name: "box" })).rejects.toMatchObject({
      code: "upgrade_required",
    });
    client.give("system:version", { value: { wireVersion: WIRE_VERSION, wireVersionMin: WIRE_VERSION_MIN } });
    expect(page.backend.connection.get().kind).toBe("live");
  });

  it("a deployment that can't tell its version is an older one, and is asked again", async () => {
    const client = page.connected();
    client.give("system:version", { error: new Error("[CONVEX Q(system:version)] [Request ID: 1f2e] Server Error") });
    expect(page.backend.connection.get()).toMatchObject({
      kind: "upgrade",
      message: expect.stringMatching(/deployment is too old.*npx convex deploy/) as string,
    });
    await vi.advanceTimersByTimeAsync(10_000);
    client.give("system:version", { value: { wireVersion: WIRE_VERSION, wireVersionMin: WIRE_VERSION_MIN } });
    expect(page.backend.connection.get().kind).toBe("live");
  });

  it("a newer deployment: the page is old", () => {
    const client = page.connected();
    client.give("system:version", { value: { wireVersion: WIRE_VERSION + 5, wireVersionMin: WIRE_VERSION + 1 } });
    expect(page.backend.connection.get()).toMatchObject({
      kind: "upgrade",
      message: expect.stringMatching(/page is too old.*git pull/) as string,
    });
  });

  it("a function that is not there is an older deployment", () => {
    const client = page.connected();
    page.backend.watch("machine.list", {}, () => undefined);
    client.give("machine:list", {
      error: new Error(
        "[CONVEX Q(machine:list)] Could not find public function for 'machine:list'. Did you forget to run `npx convex dev`?",
      ),
    });
    expect(page.backend.connection.get()).toMatchObject({
      kind: "upgrade",
      message: expect.stringMatching(/has no function machine:list.*npx convex deploy/) as string,
    });
    client.give("machine:list", { value: { machines: [] } });
    expect(page.backend.connection.get().kind).toBe("live");
  });
});
