import { describe, expect, it } from "vitest";

import type { ChatSummary } from "@/lib/backend/wire.gen";

import { newsOf } from "./news";

const chat = (patch: Partial<ChatSummary> = {}): ChatSummary => ({
  id: "cht_1",
  machineId: "mch_1",
  workerId: "wrk_1",
  title: "t",
  state: "busy",
  queuedCount: 0,
  pendingAskCount: 0,
  createdAt: 0,
  activeAt: 0,
  ...patch,
});
const news = (before: ChatSummary | null, now: ChatSummary) =>
  newsOf(new Map(before ? [[before.id, before]] : []), new Map([[now.id, now]])).map(({ text }) => text);

describe("news", () => {
  it("tells of a new ask, of an ended turn and of a failed start", () => {
    expect(news(chat(), chat({ pendingAskCount: 1 }))).toEqual(["Waits for your answer."]);
    expect(news(chat(), chat({ state: "ready" }))).toEqual(["The turn has ended."]);
    expect(news(chat({ state: "starting" }), chat({ state: "failed" }))).toEqual(["opencode could not be started."]);
  });
  it("is silent about everything else", () => {
    expect(news(null, chat({ pendingAskCount: 1 }))).toEqual([]);
    expect(news(chat({ pendingAskCount: 1 }), chat())).toEqual([]);
    expect(news(chat({ state: "starting" }), chat({ state: "ready" }))).toEqual([]);
    expect(news(chat({ state: "ready" }), chat({ state: "hibernated" }))).toEqual([]);
  });
});
