import type { Question } from "@/lib/backend/wire.gen";

/** What a person has chosen or written for one question so far. */
export interface Choice {
  readonly labels: readonly string[];
  readonly own: string;
}

export const NO_CHOICE: Choice = { labels: [], own: "" };

/** Chooses an option or takes it back; where only one may be chosen it takes the place of what was there. */
export function toggled(choice: Choice, label: string, multiple: boolean): Choice {
  if (!multiple) return { labels: [label], own: "" };
  const labels = choice.labels.includes(label)
    ? choice.labels.filter((other) => other !== label)
    : [...choice.labels, label];
  return { ...choice, labels };
}

/** The answers in the questions' order; null while one has none. */
export function answersOf(questions: readonly Question[], choices: readonly Choice[]): string[][] | null {
  const answers = questions.map((question, index) => {
    const { labels, own } = choices[index] ?? NO_CHOICE;
    // In the order of the options, not of the clicks.
    const chosen = question.options.map(({ label }) => label).filter((label) => labels.includes(label));
    return own.trim() === "" ? chosen : [...chosen, own.trim()];
  });
  return answers.every((answer) => answer.length > 0) ? answers : null;
}
