import { describe, expect, it } from "vitest";

import {
  EMPTY_CHAT,
  FIRST_TURNS,
  hasEarlier,
  hasGap,
  missingRecords,
  reduceChat,
  type ChatData,
  type ChatEvent,
} from "./chat-state";
import { answer, chunks, record, turn, view } from "./fixtures";

const after = (...events: ChatEvent[]): ChatData => events.reduce(reduceChat, EMPTY_CHAT);

describe("what is fetched", () => {
  it("is the latest turns when a chat is opened, and the rest on demand", () => {
    const turns = Array.from({ length: 60 }, (_, index) => turn(index + 1));
    const data = after({ type: "view", view: view(turns) });
    expect(missingRecords(data)).toHaveLength(FIRST_TURNS);
    expect(missingRecords(data)[0]).toBe(turns[60 - FIRST_TURNS]?.id);
    expect(hasEarlier(data)).toBe(true);
    const page = turns.slice(0, 40).map((summary) => record(summary));
    expect(hasEarlier(reduceChat(data, { type: "earlier", records: page }))).toBe(false);
  });

  it("is a turn again when it has ended, and then no more", () => {
    const running = turn(1, { state: "streaming" });
    const ended = turn(1, { state: "completed" });
    const started = after(
      { type: "view", view: view([running]) },
      { type: "records", records: [record(running, null)] },
    );
    expect(missingRecords(started)).toEqual([]);
    const done = reduceChat(started, { type: "view", view: view([ended]) });
    expect(missingRecords(done)).toEqual([ended.id]);
    expect(missingRecords(reduceChat(done, { type: "records", records: [record(ended)] }))).toEqual([]);
  });

  it("is not asked for again when a turn ended without an answer", () => {
    const cancelled = turn(1, { state: "cancelled" });
    const data = after(
      { type: "view", view: view([cancelled]) },
      { type: "records", records: [record(cancelled, null)] },
    );
    expect(missingRecords(data)).toEqual([]);
  });

  it("does not lose an answer to a page that was asked for before it came", () => {
    const running = turn(1, { state: "streaming" });
    const ended = turn(1);
    const data = after(
      { type: "view", view: view([ended]) },
      { type: "records", records: [record(ended)] },
      { type: "records", records: [record(running, null)] },
    );
    expect(data.records.get(ended.id)?.answer).not.toBeNull();
  });
});

describe("the complete message", () => {
  const running = turn(1, { state: "streaming" });
  const streamed = after(
    { type: "view", view: view([running]) },
    { type: "chunks", chunks: chunks(running, "Hel", "lo") },
  );

  it("takes over from what was streamed, and is verified", () => {
    const data = reduceChat(streamed, { type: "records", records: [record(turn(1), "Hello")] });
    expect(data.live.size).toBe(0);
    expect(data.checks.get(running.id)).toBe("verified");
  });
  it("repairs what was streamed wrongly", () => {
    const data = reduceChat(streamed, { type: "records", records: [record(turn(1), "Hello, world")] });
    expect(data.checks.get(running.id)).toBe("repaired");
  });
  it("is verified by itself where nothing was streamed", () => {
    const data = after({ type: "view", view: view([turn(1)]) }, { type: "records", records: [record(turn(1))] });
    expect(data.checks.get(running.id)).toBe("verified");
  });
  it("that does not have its hash is said not to", () => {
    const wrong = { ...record(turn(1)), answer: answer("Hello", { hash: "00" }) };
    expect(reduceChat(streamed, { type: "records", records: [wrong] }).checks.get(running.id)).toBe("mismatch");
  });
  it("is not overwritten by chunks that come late", () => {
    const data = reduceChat(streamed, { type: "records", records: [record(turn(1), "Hello")] });
    expect(reduceChat(data, { type: "chunks", chunks: chunks(running, "Hel", "lo", "!") }).live.size).toBe(0);
  });
});

describe("chunks", () => {
  const running = turn(3, { state: "streaming" });
  it("that come twice count once", () => {
    const data = after(
      { type: "chunks", chunks: chunks(running, "a", "b") },
      { type: "chunks", chunks: chunks(running, "a", "b", "c") },
    );
    expect(data.live.get(running.id)?.parts).toEqual([{ id: "p1", kind: "text", text: "abc" }]);
    expect(hasGap(data, running.id)).toBe(false);
  });
  it("with a hole say so", () => {
    expect(hasGap(after({ type: "chunks", chunks: chunks(running, "a", "b").slice(1) }), running.id)).toBe(true);
  });
  it("are kept also when they come before the view that tells of their turn", () => {
    const data = after({ type: "chunks", chunks: chunks(running, "early") }, { type: "view", view: view([running]) });
    expect(data.live.get(running.id)?.nextSeq).toBe(1);
  });
});

describe("messages sent from here", () => {
  const key = "idk_1";
  const sending: ChatEvent = { type: "sending", key, message: "do it", at: 5 };
  it("are kept from the first moment, and through failure and repetition", () => {
    const failed = after(sending, { type: "send_failed", key, reason: "no network" });
    expect(failed.sends).toEqual([
      { key, message: "do it", sentAt: 5, state: { kind: "failed", reason: "no network" } },
    ]);
    const again = reduceChat(failed, { ...sending, at: 9 });
    expect(again.sends).toEqual([{ key, message: "do it", sentAt: 5, state: { kind: "sending" } }]);
    expect(reduceChat(again, { type: "sent", key, turn: turn(1, { state: "queued" }) }).sends[0]?.state.kind).toBe(
      "sent",
    );
    expect(reduceChat(failed, { type: "send_dropped", key }).sends).toEqual([]);
  });
});
