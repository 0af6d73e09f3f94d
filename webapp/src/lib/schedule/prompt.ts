import type { Timing } from "./firing";
import { clockTime, dayText } from "./note";
import { VARIABLES } from "./shared.gen";

/** The variables of a schedule's prompt; the twin of `protocol::schedule::prompt`. Instants are in milliseconds. */

/** What the variables stand for in one run. */
export interface Variables {
  timing: Timing;
  /** The instant of the firing. */
  due: number;
  /** The schedule's name. */
  schedule: string;
  /** How, why and when (the instant it was due) the run before ended, if there was one. */
  last: { state: string; reason: string | null; due: number } | null;
}

/** What is wrong with a prompt that names a variable that there is not; `null` if nothing is. */
export function promptProblem(prompt: string): string | null {
  const known = VARIABLES.map(([name]) => name);
  for (const piece of pieces(prompt)) {
    if (piece.kind === "variable" && !known.includes(piece.name)) {
      return `There is no variable {{${piece.name}}}. There are: ${known.join(", ")}.`;
    }
  }
  return null;
}

/** The prompt of one run. What its variables stand for is not looked through for variables again. */
export function expand(prompt: string, variables: Variables): string {
  return pieces(prompt)
    .map((piece) => (piece.kind === "text" ? piece.text : value(piece.name, variables)))
    .join("");
}

function value(name: string, { timing, due, schedule, last }: Variables): string {
  switch (name) {
    case "date":
      return timing.localDay(due);
    case "time":
      return timing.localTime(due);
    case "instant":
      return utcMinute(due);
    case "schedule":
      return schedule;
    case "last_outcome":
      return last?.state ?? "none";
    case "last_reason":
      return last?.reason ?? "";
    case "last_date":
      return last === null ? "none" : timing.localDay(last.due);
    default:
      return `{{${name}}}`;
  }
}

function utcMinute(at: number): string {
  const minute = Math.floor(at / 60_000) * 60;
  return `${dayText(minute)}T${clockTime(minute)}Z`;
}

type Piece = { kind: "text"; text: string } | { kind: "variable"; name: string };

/**
 * Cuts a prompt at its variables: `{{`, lower-case letters and underscores, `}}`, blanks around the name allowed. Anything
 * else in braces is text.
 */
function pieces(prompt: string): Piece[] {
  const found: Piece[] = [];
  let textFrom = 0;
  let close = 0;
  for (let open = prompt.indexOf("{{"); open >= 0;) {
    if (close < open + 2) close = prompt.indexOf("}}", open + 2);
    if (close < 0) break;
    const name = /^ *([a-z_]+) *$/.exec(prompt.slice(open + 2, close))?.[1];
    if (name !== undefined) {
      found.push({ kind: "text", text: prompt.slice(textFrom, open) }, { kind: "variable", name });
      textFrom = close + 2;
    }
    open = prompt.indexOf("{{", name === undefined ? open + 1 : textFrom);
  }
  found.push({ kind: "text", text: prompt.slice(textFrom) });
  return found;
}
