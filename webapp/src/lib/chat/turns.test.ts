import { describe, expect, it } from "vitest";

import { EMPTY_CHAT, reduceChat, type ChatData, type ChatEvent } from "./chat-state";
import { chunks, record, turn, view } from "./fixtures";
import { stateOf, turnsOf } from "./turns";

const after = (...events: ChatEvent[]): ChatData => events.reduce(reduceChat, EMPTY_CHAT);
const ordinals = (items: readonly { summary: { ordinal: number } | null }[]) =>
  items.map(({ summary }) => summary?.ordinal ?? null);

describe("which turns stand where", () => {
  it("puts those that wait behind the running one into the queue", () => {
    const data = after({
      type: "view",
      view: view([
        turn(1),
        turn(2, { state: "streaming" }),
        turn(3, { state: "queued" }),
        turn(4, { state: "queued" }),
      ]),
    });
    const turns = turnsOf(data);
    expect(ordinals(turns.shown)).toEqual([1, 2]);
    expect(ordinals(turns.queued)).toEqual([3, 4]);
    expect(turns.running?.summary?.ordinal).toBe(2);
  });
  it("shows the first waiting one in the transcript when nothing runs", () => {
    const turns = turnsOf(
      after({ type: "view", view: view([turn(1), turn(2, { state: "queued" }), turn(3, { state: "queued" })]) }),
    );
    expect(ordinals(turns.shown)).toEqual([1, 2]);
    expect(ordinals(turns.queued)).toEqual([3]);
    expect(turns.running).toBeNull();
  });
  it("leaves cancelled ones in their place", () => {
    const turns = turnsOf(
      after({
        type: "view",
        view: view([turn(1, { state: "streaming" }), turn(2, { state: "cancelled" }), turn(3, { state: "queued" })]),
      }),
    );
    expect(ordinals(turns.shown)).toEqual([1, 2]);
    expect(ordinals(turns.queued)).toEqual([3]);
  });
});

describe("a message from the moment of sending on", () => {
  const key = "idk_1";
  const queued = turn(1, { state: "queued" });
  const sending = after({ type: "view", view: view([]) }, { type: "sending", key, message: "do it", at: 5 });
  const sent = reduceChat(sending, { type: "sent", key, turn: queued });
  const seen = reduceChat(sent, { type: "view", view: view([queued]) });

  it("keeps its place and its key, and never stands there twice", () => {
    for (const [data, state] of [
      [sending, "sending"],
      [sent, "queued"],
      [seen, "queued"],
    ] as const) {
      const { shown } = turnsOf(data);
      expect(shown).toHaveLength(1);
      expect(shown[0]).toMatchObject({ key, message: "do it" });
      expect(shown[0] && stateOf(shown[0])).toBe(state);
    }
  });
  it("also stands there once when the view is quicker than the answer", () => {
    const viewFirst = reduceChat(reduceChat(sending, { type: "view", view: view([queued]) }), {
      type: "sent",
      key,
      turn: queued,
    });
    expect(turnsOf(viewFirst).shown).toHaveLength(1);
  });
  it("waits in the queue while something runs", () => {
    const busy = after(
      { type: "view", view: view([turn(1, { state: "streaming" })]) },
      { type: "sending", key, message: "next", at: 5 },
    );
    expect(turnsOf(busy).queued.map(({ message }) => message)).toEqual(["next"]);
  });
  it("says that it was not sent", () => {
    const failed = reduceChat(sending, { type: "send_failed", key, reason: "no network" });
    const [item] = turnsOf(failed).shown;
    expect(item && stateOf(item)).toBe("unsent");
    expect(item?.sendProblem).toBe("no network");
  });
});

describe("what a turn shows", () => {
  it("is the stream while it runs and the complete message after it", () => {
    const running = turn(1, { state: "streaming" });
    const live = after({ type: "view", view: view([running]) }, { type: "chunks", chunks: chunks(running, "Hel") });
    expect(turnsOf(live).shown[0]?.parts).toEqual([{ id: "p1", kind: "text", text: "Hel" }]);
    const done = reduceChat(live, { type: "records", records: [record(turn(1), "Hello")] });
    const [item] = turnsOf(done).shown;
    expect(item?.parts).toEqual([{ id: "p1", kind: "text", text: "Hello" }]);
    // The view has not told yet, but an end does not come undone.
    expect(item && stateOf(item)).toBe("completed");
  });
  it("is the same object while nothing of it changes", () => {
    const data = after(
      { type: "view", view: view([turn(1), turn(2, { state: "streaming" })]) },
      { type: "records", records: [record(turn(1))] },
    );
    const first = turnsOf(data);
    const grown = reduceChat(reduceChat(data, { type: "chunks", chunks: chunks(turn(2), "x") }), {
      type: "view",
      view: view([turn(1), turn(2, { state: "streaming" })]),
    });
    const second = turnsOf(grown, first);
    expect(second.shown[0]).toBe(first.shown[0]);
    expect(second.shown[1]).not.toBe(first.shown[1]);
  });
});
