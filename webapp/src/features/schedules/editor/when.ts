import { phraseOf, readPhrase, sentence, Timing, type When, WhenError, type Firing } from "@/lib/schedule";

/** A firing after which nothing is looked for, so that a note on the clocks is found a year ahead. */
const LOOK_AHEAD_MS = 366 * 86_400_000;
const LOOK_AHEAD_FIRINGS = 400;
export const SHOWN_FIRINGS = 5;

/** What somebody wrote of when to fire, as it is understood so far. */
export type Understood =
  | { kind: "ok"; when: When; as: "phrase" | "cron" | "interval"; text: string; cron: string | null }
  | { kind: "empty" }
  | { kind: "wrong"; field: "when" | "zone"; message: string };

/** What is kept as it was while an edit does not touch it: a phrase alone does not say from when an interval counts. */
export interface Kept {
  text: string;
  when: When;
}

/** Reads a phrase, a cron expression or an interval: which of them it is shows in how it begins. */
export function understand(text: string, zone: string, now: number, kept?: Kept): Understood {
  const zoneProblem = problemOfZone(zone);
  if (zoneProblem !== null) return { kind: "wrong", field: "zone", message: zoneProblem };
  if (text.trim() === "") return { kind: "empty" };
  try {
    const when = whenOf(text, zone, now, kept);
    Timing.of(when);
    const isCron = isExpression(text);
    return {
      kind: "ok",
      when,
      as: when.kind === "interval" ? "interval" : isCron ? "cron" : "phrase",
      text: sentence(when),
      cron: when.kind === "cron" ? when.expression : null,
    };
  } catch (error) {
    if (error instanceof WhenError) return { kind: "wrong", field: "when", message: error.message };
    throw error;
  }
}

function whenOf(text: string, zone: string, now: number, kept: Kept | undefined): When {
  if (kept?.text === text.trim() && kept.when.kind !== "unknown" && kept.when.zone === zone) return kept.when;
  return isExpression(text) ? { kind: "cron", expression: text.trim(), zone } : readPhrase(text, zone, now);
}

function isExpression(text: string): boolean {
  return /^\s*[\d*@?]/.test(text);
}

export function problemOfZone(zone: string): string | null {
  try {
    Timing.of({ kind: "interval", everyMinutes: 1, anchor: 0, zone });
    return null;
  } catch (error) {
    if (error instanceof WhenError) return error.message;
    throw error;
  }
}

/** The text that is read as this again. */
export function textOf(when: When): string {
  return phraseOf(when) ?? (when.kind === "cron" ? when.expression : "");
}

export interface Preview {
  firings: Firing[];
  /** The first firing after those that a change of the clocks has to do with, within a year. */
  later: Firing | null;
}

export function previewOf(when: When, now: number): Preview {
  const timing = Timing.of(when);
  const firings = timing.nextFires(now, SHOWN_FIRINGS);
  return { firings, later: firings.some(({ notes }) => notes.length > 0) ? null : laterNote(timing, firings, now) };
}

function laterNote(timing: Timing, shown: Firing[], now: number): Firing | null {
  let looked = shown.length;
  let last = shown.at(-1)?.at;
  while (last !== undefined && looked < LOOK_AHEAD_FIRINGS && last < now + LOOK_AHEAD_MS) {
    const more = timing.nextFires(last, 100);
    const noted = more.find(({ notes }) => notes.length > 0);
    if (noted) return noted;
    looked += more.length;
    last = more.at(-1)?.at;
  }
  return null;
}
