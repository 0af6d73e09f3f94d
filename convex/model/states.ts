import { STATES } from "./gen/states";
import { refusal } from "./refusal";

type Thing = keyof typeof STATES;

/** A state of that thing, or one that only a newer peer knows. */
export type StateOf<T extends Thing> = (keyof (typeof STATES)[T] & string) | "unknown";

function nextOf(thing: Thing, from: string): readonly string[] {
  const table: Readonly<Record<string, readonly string[]>> = STATES[thing];
  return table[from] ?? [];
}

/** Takes a transition, if the thing's table has it. */
export function transition<T extends Thing, S extends StateOf<T>>(thing: T, from: StateOf<T>, to: S): S {
  if (!nextOf(thing, from).includes(to)) {
    throw refusal("conflict", `That is not possible now: a ${thing} that is ${from} can't become ${to}.`);
  }
  return to;
}

/** Whether nothing comes after this state. */
export const isTerminal = <T extends Thing>(thing: T, state: StateOf<T>): boolean => nextOf(thing, state).length === 0;
