import { ZONES } from "./shared.gen";
import { WhenError } from "./when";

/**
 * A stretch of time in which the clocks are not touched, as far as it was looked at. Everything is in seconds:
 * instants since the Unix epoch, offsets ahead of UTC.
 */
export interface Stretch {
  /** Its first instant, if that was seen. */
  start: number | null;
  /** The first instant after it, or the end of what was looked at. */
  end: number;
  offset: number;
  /** The offset before it. */
  before: number;
}

/** What a local time stands for. */
export type Standing =
  { kind: "once" } | { kind: "never"; at: number; from: number; until: number } | { kind: "twice"; first: number };

export const DAY = 86_400;
/** Equal offsets so far apart mean that nothing changed between: two changes have never been less than six days apart. */
const CALM = 5 * DAY;

/** A time zone's rules, as the platform knows them. */
export class Zone {
  readonly #format: Intl.DateTimeFormat;
  /** Days without a change that were found last: asking `Intl` is what takes time here. */
  #calm: { from: number; until: number; offset: number } | null = null;

  private constructor(format: Intl.DateTimeFormat) {
    this.#format = format;
  }

  static find(name: string): Zone {
    const known = zones.get(name);
    if (known) return known;
    if (name.trim() === "") throw new WhenError("empty", "A schedule needs a time zone, such as Europe/Berlin.");
    if (!ZONES.includes(name)) {
      const near = suggest(name);
      const hint = near ? `Did you mean ${near}?` : "Zones are named like Europe/Berlin or America/New_York.";
      throw new WhenError(
        "zone",
        `There is no time zone "${Array.from(name).slice(0, SHOWN_CHARS).join("")}". ${hint}`,
      );
    }
    let format: Intl.DateTimeFormat;
    try {
      format = new Intl.DateTimeFormat("en-US-u-ca-gregory-nu-latn", {
        timeZone: name,
        hourCycle: "h23",
        year: "numeric",
        month: "numeric",
        day: "numeric",
        hour: "numeric",
        minute: "numeric",
        second: "numeric",
      });
    } catch {
      throw new WhenError("zone", `The time zone "${name}" is not known here, though it exists. Update this program.`);
    }
    const zone = new Zone(format);
    zones.set(name, zone);
    return zone;
  }

  offsetAt(instant: number): number {
    const parts: Record<string, number> = {};
    for (const { type, value } of this.#format.formatToParts(instant * 1000)) parts[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second) / 1000 - instant;
  }

  /** The stretches of `[from, until)`, oldest first. The first one has its start if it began less than a day before. */
  stretches(from: number, until: number): Stretch[] {
    const calm = this.#calmAround(from - DAY, until);
    if (calm !== null) return [{ start: null, end: until, offset: calm, before: calm }];
    const first = this.offsetAt(from - DAY);
    const found: Stretch[] = [{ start: null, end: until, offset: first, before: first }];
    // No window is as long as two changes are apart.
    const change = this.#changeIn(from - DAY, until);
    const only = found[0];
    if (change === null || only === undefined) return found;
    only.end = change;
    found.push({ start: change, end: until, offset: this.offsetAt(change), before: first });
    return found.filter((stretch) => stretch.end > from && (stretch.start ?? from) < until);
  }

  /** The offset of all of `[from, until]`, if no change is near. */
  #calmAround(from: number, until: number): number | null {
    const known = this.#calm;
    if (known !== null && known.from <= from && until <= known.until) return known.offset;
    const end = Math.max(from + CALM, until);
    const offset = this.offsetAt(from);
    if (end - from > CALM || this.offsetAt(end) !== offset) return null;
    this.#calm = { from, until: end, offset };
    return offset;
  }

  standing(local: number): Standing {
    const before = this.offsetAt(local - DAY);
    const after = this.offsetAt(local + DAY);
    if (before === after) return { kind: "once" };
    const isFirst = this.offsetAt(local - before) === before;
    const isSecond = this.offsetAt(local - after) === after;
    if (isFirst && isSecond) return { kind: "twice", first: local - before };
    if (isFirst || isSecond) return { kind: "once" };
    const at = this.#changeIn(local - DAY, local + DAY) ?? local - before;
    return { kind: "never", at, from: at + before, until: at + after };
  }

  /** The instant of a local time: the first of two; the instant of the jump if there is none. */
  instantOf(local: number): number {
    const standing = this.standing(local);
    switch (standing.kind) {
      case "never":
        return standing.at;
      case "twice":
        return standing.first;
      case "once": {
        const before = this.offsetAt(local - DAY);
        return this.offsetAt(local - before) === before ? local - before : local - this.offsetAt(local + DAY);
      }
    }
  }

  /** The first instant of another offset in `(from, until]`, if it ends with another. */
  #changeIn(from: number, until: number): number | null {
    const offset = this.offsetAt(from);
    if (this.offsetAt(until) === offset) return null;
    let [same, other] = [from, until];
    while (other - same > 1) {
      const middle = Math.floor((same + other) / 2);
      if (this.offsetAt(middle) === offset) same = middle;
      else other = middle;
    }
    return other;
  }
}

const zones = new Map<string, Zone>();

const SHOWN_CHARS = 64;
const LETTERS_PER_TYPO = 4;
const TYPOS_MAX = 3;

/** The zone that was probably meant: another spelling, the same place elsewhere, or a few letters off. */
function suggest(name: string): string | undefined {
  const wanted = asciiLower(Array.from(name.trim()).slice(0, SHOWN_CHARS).join("").replaceAll(" ", "_"));
  const place = placeOf(wanted);
  const spelling = ZONES.find((known) => asciiLower(known) === wanted);
  if (spelling !== undefined) return spelling;
  const elsewhere = ZONES.find((known) => placeOf(asciiLower(known)) === place);
  if (elsewhere !== undefined) return elsewhere;
  const allowed = Math.min(Math.floor(Array.from(place).length / LETTERS_PER_TYPO), TYPOS_MAX);
  let best: { distance: number; whole: number; known: string } | undefined;
  for (const known of ZONES) {
    const lower = asciiLower(known);
    const whole = editDistance(lower, wanted);
    const distance = Math.min(whole, editDistance(placeOf(lower), place));
    if (distance > allowed) continue;
    if (!best || distance < best.distance || (distance === best.distance && whole < best.whole)) {
      best = { distance, whole, known };
    }
  }
  return best?.known;
}

function placeOf(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

export function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Levenshtein's distance between two texts. */
function editDistance(one: string, other: string): number {
  const letters = Array.from(other);
  let row = Array.from({ length: letters.length + 1 }, (_, column) => column);
  for (const [line, letter] of Array.from(one).entries()) {
    const next = [line + 1];
    for (const [column, wanted] of letters.entries()) {
      const replaced = (row[column] ?? 0) + (letter === wanted ? 0 : 1);
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[letters.length] ?? 0;
}
