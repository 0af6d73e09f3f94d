import { describe, expect, it } from "vitest";

import type { Question } from "@/lib/backend/wire.gen";

import { answersOf, NO_CHOICE, toggled } from "./choices";

const question = (patch: Partial<Question> = {}): Question => ({
  header: "",
  question: "?",
  options: ["a", "b", "c"].map((label) => ({ label, description: "" })),
  multiple: false,
  custom: false,
  ...patch,
});

describe("choices", () => {
  it("of one take each other's place; of several they gather and can be taken back", () => {
    expect(toggled(toggled(NO_CHOICE, "a", false), "b", false)).toEqual({ labels: ["b"], own: "" });
    const two = toggled(toggled(NO_CHOICE, "b", true), "a", true);
    expect(two.labels).toEqual(["b", "a"]);
    expect(toggled(two, "b", true).labels).toEqual(["a"]);
  });
  it("are no answer until every question has one", () => {
    const questions = [question(), question({ multiple: true, custom: true })];
    expect(answersOf(questions, [NO_CHOICE, NO_CHOICE])).toBeNull();
    expect(
      answersOf(questions, [
        { labels: ["c"], own: "" },
        { labels: [], own: "  " },
      ]),
    ).toBeNull();
    expect(
      answersOf(questions, [
        { labels: ["c"], own: "" },
        { labels: ["b", "a"], own: " mine " },
      ]),
    ).toEqual([["c"], ["a", "b", "mine"]]);
  });
});
