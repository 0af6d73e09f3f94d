import { Expression } from "./cron";
import { clockTime, dayText, type Note } from "./note";
import { LIMITS } from "./shared.gen";
import { type When, WhenError } from "./when";
import { DAY, type Stretch, Zone } from "./zone";

/** One firing, as a person is shown it. */
export interface Firing {
  /** The instant, in milliseconds. With the schedule's id it names the firing. */
  at: number;
  /** The same on the zone's clocks, with its offset: `2026-03-29T03:00+02:00`. */
  local: string;
  /** What the clocks have to do with it. */
  notes: Note[];
}

/** Nothing fires after this: the end of the year 2199, in seconds. */
const LAST_SECOND = 7_258_118_399;
/** 2024-01-01T00:00Z: what does not fire after it never does. */
const YEAR_2024 = 1_704_067_200;
/** Jumps of the clocks up to here are daylight saving; what is named in a longer one is left out. */
const JUMP_MAX = 3 * 3600;
/** How far the zone is looked at in one go. */
const WINDOW = 2 * DAY;
/** No clock is further from UTC. */
const OFFSET_MAX = 15 * 3600;
const JUMPS_LOOKED_AT = 200;

type Rule = { kind: "cron"; expression: Expression } | { kind: "interval"; first: number; every: number };

/**
 * A `When` that was found to be one, ready to be asked; the twin of `protocol::schedule::Timing`.
 *
 * The rule for changes of the clocks is Vixie cron's. Times that are named ("at 02:30") fire once on each of their days:
 * at the first of two, and at the end of the jump if the clocks jump over them. Expressions with a `*` for the minute or
 * the hour, and intervals, go on in real time: what is jumped over is left out, what comes twice fires twice.
 */
export class Timing {
  private constructor(
    readonly zone: Zone,
    readonly rule: Rule,
  ) {}

  /** Checks and prepares it; throws a `WhenError` that says what is wrong. */
  static of(when: When): Timing {
    switch (when.kind) {
      case "cron": {
        const rule: Rule = { kind: "cron", expression: Expression.read(when.expression) };
        const timing = new Timing(Zone.find(when.zone), rule);
        if (timing.#firstFrom(YEAR_2024) === null) {
          throw new WhenError(
            "never",
            `"${when.expression}" never fires in ${when.zone}: the clocks jump over these times. Name another hour.`,
          );
        }
        return timing;
      }
      case "interval": {
        const { everyMinutes, anchor, zone } = when;
        const most = LIMITS.intervalMaxMinutes;
        if (!Number.isInteger(everyMinutes) || everyMinutes < 1 || everyMinutes > most) {
          throw new WhenError("interval", `An interval is 1 to ${most} minutes (366 days), not ${everyMinutes}.`);
        }
        if (!Number.isInteger(anchor) || anchor < 0 || anchor % 60_000 !== 0 || anchor > LAST_SECOND * 1000) {
          throw new WhenError("interval", "An interval begins on a full minute, before the year 2200.");
        }
        return new Timing(Zone.find(zone), { kind: "interval", first: anchor / 1000, every: everyMinutes * 60 });
      }
      case "unknown":
        throw new WhenError(
          "kind",
          "This kind of schedule is from a newer version. Upgrade this program, or choose a cron expression or an interval.",
        );
    }
  }

  /** The first firing after `after`, both in milliseconds; `null` if there is none before the year 2200. */
  nextFire(after: number): number | null {
    if (after >= LAST_SECOND * 1000) return null;
    const found = this.#firstFrom(Math.floor(after / 1000) + 1);
    return found === null ? null : found * 1000;
  }

  /** The next `count` firings after `after`, with what the clocks do to them. */
  nextFires(after: number, count: number): Firing[] {
    let before = Math.min(Math.floor(after / 1000), LAST_SECOND);
    let last = after;
    const firings: Firing[] = [];
    while (firings.length < Math.min(count, LIMITS.previewMaxFirings)) {
      const at = this.nextFire(last);
      if (at === null) break;
      firings.push({ at, local: this.#show(at / 1000), notes: this.#notes(before, at / 1000) });
      before = at / 1000;
      last = at;
    }
    return firings;
  }

  /** The firings after `after` and up to `until`, but no more than `most`. */
  firings(after: number, until: number, most: number): number[] {
    const found: number[] = [];
    let at = this.nextFire(after);
    while (at !== null && at <= until && found.length < most) {
      found.push(at);
      at = this.nextFire(at);
    }
    return found;
  }

  /** The day on the zone's clocks, as `2026-03-29`. */
  localDay(at: number): string {
    return dayText(this.#local(at));
  }

  /** The time on the zone's clocks, as `09:30`, with seconds only where there are any. */
  localTime(at: number): string {
    return clockTime(this.#local(at));
  }

  #local(at: number): number {
    const second = Math.floor(at / 1000);
    return second + this.zone.offsetAt(second);
  }

  #firstFrom(from: number): number | null {
    let found: number | null;
    if (this.rule.kind === "interval") {
      const { first, every } = this.rule;
      found = first + Math.ceil(Math.max(from - first, 0) / every) * every;
    } else {
      found = this.#firstMatch(this.rule.expression, from);
    }
    return found !== null && found <= LAST_SECOND ? found : null;
  }

  #firstMatch(expression: Expression, first: number): number | null {
    let from = first;
    while (from <= LAST_SECOND) {
      const until = from + WINDOW;
      for (const stretch of this.zone.stretches(from, until)) {
        const begin = Math.max(from, stretch.start ?? from);
        if (stretch.start === begin && movedFrom(expression, stretch) !== null) return begin;
        const local = expression.nextLocal(lowerBound(expression, stretch, begin));
        if (local === null) return null;
        if (local - stretch.offset < stretch.end) return local - stretch.offset;
      }
      // A clock that goes back right after the window shows earlier times again: a day is more than any ever went.
      const local = expression.nextLocal(until + this.zone.offsetAt(until) - DAY);
      if (local === null) return null;
      from = Math.max(until, local - OFFSET_MAX);
    }
    return null;
  }

  #notes(before: number, at: number): Note[] {
    const offset = this.zone.offsetAt(at);
    const minutes = Math.trunc((offset - this.zone.offsetAt(before)) / 60);
    if (this.rule.kind === "interval") return minutes === 0 ? [] : [{ kind: "shifted", minutes }];
    const { expression } = this.rule;
    const notes = this.#leftOut(expression, before, at);
    const local = at + offset;
    const stretch = this.zone.stretches(at, at + 1)[0];
    const wanted = stretch?.start === at ? movedFrom(expression, stretch) : null;
    const standing = this.zone.standing(local);
    if (wanted !== null) {
      notes.push({ kind: "moved", wanted: clockTime(wanted), at: clockTime(local) });
    } else if (standing.kind === "twice") {
      const time = clockTime(local);
      if (standing.first !== at) notes.push({ kind: "again", time });
      else if (!expression.isPeriodic) notes.push({ kind: "once", time });
    }
    return notes.length === 0 && minutes !== 0 ? [{ kind: "changed", minutes }] : notes;
  }

  /** The first jump between two firings that left something out. */
  #leftOut(expression: Expression, before: number, at: number): Note[] {
    const end = at + this.zone.offsetAt(at);
    let local = before + this.zone.offsetAt(before) + 1;
    // What lies between two firings and matches is jumped over, or comes a second time.
    for (let looked = 0; looked < JUMPS_LOOKED_AT; looked += 1) {
      const next = expression.nextLocal(local);
      if (next === null || next >= end) return [];
      const standing = this.zone.standing(next);
      if (standing.kind === "never" && standing.at > before) {
        const { from, until } = standing;
        if (expression.isPeriodic || until - from > JUMP_MAX) {
          return [{ kind: "left_out", day: dayText(from), from: clockTime(from), until: clockTime(until) }];
        }
      }
      local = next + 60;
    }
    return [];
  }

  #show(at: number): string {
    const offset = this.zone.offsetAt(at);
    const two = (number: number): string => String(Math.trunc(number)).padStart(2, "0");
    const ahead = Math.abs(offset);
    const local = at + offset;
    return `${dayText(local)}T${clockTime(local)}${offset < 0 ? "-" : "+"}${two(ahead / 3600)}:${two((ahead / 60) % 60)}`;
  }
}

/** The local time from which a stretch is searched: named times are not repeated in a repeated hour. */
function lowerBound(expression: Expression, stretch: Stretch, from: number): number {
  const local = from + stretch.offset;
  return stretch.start === null || expression.isPeriodic ? local : Math.max(local, stretch.start + stretch.before);
}

/** The first named time that the clocks jumped over at the start of a stretch. */
function movedFrom(expression: Expression, stretch: Stretch): number | null {
  const jump = stretch.offset - stretch.before;
  if (stretch.start === null || expression.isPeriodic || jump < 1 || jump > JUMP_MAX) return null;
  const local = expression.nextLocal(stretch.start + stretch.before);
  return local !== null && local < stretch.start + stretch.offset ? local : null;
}
