import { expect, it } from "vitest";

import { waitSentence } from "./wait";

it("says what a message waits for, and how many come first", () => {
  const wait = { ahead: 2, processes: 6, processLimit: 6, forMemory: false };
  expect(waitSentence(wait)).toBe("Waits for a free process: 2 chats come first (6 of 6 run).");
  expect(waitSentence({ ...wait, ahead: 1 })).toBe("Waits for a free process: 1 chat comes first (6 of 6 run).");
  expect(waitSentence({ ...wait, ahead: 0, processes: 4, forMemory: true })).toBe(
    "Waits for free memory: this chat is next (4 of 6 run).",
  );
});
