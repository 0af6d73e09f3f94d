import { describe, expect, it } from "vitest";

import { view as chatView } from "@/lib/chat/fixtures";
import type { MachineView, Presence, WorkerSummary } from "@/lib/backend/wire.gen";

import { firstChoice, targetsFor } from "./targets";

const SOURCE_ID = "wrk_00000000000000000000000001";
const ONLINE: Presence = { state: "online", epoch: 1, since: 0 };
const GONE: Presence = { state: "unknown", since: 0 };

function worker(id: string, directory: string, patch: Partial<WorkerSummary> = {}): WorkerSummary {
  return {
    id,
    machineId: "mch_00000000000000000000000001",
    name: directory.split("/").at(-1) ?? "",
    directory,
    state: "ready",
    createdAt: 0,
    openChatCount: 0,
    settings: { sandbox: "off" },
    ...patch,
  };
}

function machine(name: string, presence: Presence, workers: WorkerSummary[]): MachineView {
  return {
    machine: {
      id: `mch_${name}`,
      name,
      state: "registered",
      presence,
      createdAt: 0,
      workerCount: workers.length,
      openChatCount: 0,
      pendingAskCount: 0,
    },
    workers,
    chats: [],
  };
}

const { chat } = chatView([]);
const source = worker(SOURCE_ID, "srv/Api");
const order = (views: MachineView[]) =>
  targetsFor(chat, source, views).map(
    (group) => `${group.machine.name}: ${group.targets.map((target) => target.worker.name).join(", ")}`,
  );

describe("where a chat can be continued", () => {
  it("begins with machines that are there and have a folder of this name", () => {
    expect(
      order([
        machine("lost", GONE, [source]),
        machine("other", ONLINE, [worker("w2", "docs")]),
        machine("twin", ONLINE, [worker("w3", "docs"), worker("w4", "repos/api")]),
        machine("empty", ONLINE, []),
      ]),
    ).toEqual(["twin: api, docs", "other: docs", "lost: Api"]);
  });
  it("knows a folder also by the name that a person gave it", () => {
    const views = [machine("twin", ONLINE, [worker("w2", "repos/api-2", { name: "api" })])];
    expect(targetsFor(chat, source, views)[0]?.targets[0]?.matches).toBe(true);
  });
  it("offers no removed worker, and chooses none that can't be used or whose machine is away", () => {
    const views = [
      machine("lost", GONE, [source]),
      machine("twin", ONLINE, [
        worker("w2", "api", { state: "removed" }),
        worker("w3", "x/api", { state: "unavailable" }),
        worker("w4", "docs"),
      ]),
    ];
    expect(order(views)).toEqual(["twin: docs, api", "lost: Api"]);
    expect(firstChoice(targetsFor(chat, source, views))).toBe("w4");
    expect(firstChoice(targetsFor(chat, source, views.slice(0, 1)))).toBeNull();
  });
  it("prefers another machine to the chat's own, where both have the folder", () => {
    const views = [machine("own", ONLINE, [source]), machine("twin", ONLINE, [worker("w2", "api")])];
    expect(firstChoice(targetsFor(chat, source, views))).toBe("w2");
    expect(firstChoice(targetsFor(chat, source, views.slice(0, 1)))).toBe(SOURCE_ID);
  });
});
