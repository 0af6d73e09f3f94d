import { Timing } from "./firing";
import { type When, byteLength, WhenError } from "./when";
import { LIMITS } from "./shared.gen";
import { asciiLower, DAY, Zone } from "./zone";

/** The days of the week, Sunday first, as in a cron expression. */
export const DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
export const MONTHS = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december",
];
/** Which of its kind in a month; the last one is apart. */
export const ORDINALS = ["first", "second", "third", "fourth", "fifth"];

const COUNT_MAX_DIGITS = 6;

const EXAMPLES =
  "Write it like: every weekday at 9 · every Monday and Thursday at 8:30 · on the 1st of each month at 7 · every 15 minutes · every 6 hours from 08:00.";

/**
 * Reads a phrase of the list in `docs/schedules.md`; the twin of `protocol::schedule::read_phrase`. An interval without a
 * beginning begins at the last midnight of the zone. Throws a `WhenError`.
 */
export function readPhrase(text: string, zone: string, now: number): When {
  if (byteLength(text) > LIMITS.expressionMaxBytes) {
    throw new WhenError("too_long", `The phrase is longer than ${LIMITS.expressionMaxBytes} bytes. ${EXAMPLES}`);
  }
  const words = asciiLower(text)
    .replaceAll(",", " , ")
    .replace(/[ \t.]+$/, "")
    .split(/[ \t]+/)
    .filter((word) => word !== "");
  if (words.length === 0) throw new WhenError("empty", `There is no phrase yet. ${EXAMPLES}`);
  const rules = Zone.find(zone);
  const when: When = readInterval(words, zone, rules, now) ?? { kind: "cron", expression: readExpression(words), zone };
  Timing.of(when);
  return when;
}

/** Where an interval begins: a minute of the day, and the day if it was named. */
interface Begins {
  minute: number;
  day: number | null;
}

function readInterval(words: string[], zone: string, rules: Zone, now: number): When | null {
  const [every, first = "", ...others] = words;
  if (every !== "every") return null;
  let [count, unit, rest]: [number | null, string | undefined, string[]] = [1, first, others];
  if (first !== "minute" && first !== "hour" && first !== "second") {
    [unit, ...rest] = others;
    count = digits(first, COUNT_MAX_DIGITS);
  }
  if (count === null || unit === undefined) return null;
  let minutes: number;
  switch (unit) {
    case "minute":
    case "minutes":
    case "min":
      minutes = count;
      break;
    case "hour":
    case "hours":
      minutes = count * 60;
      break;
    case "second":
    case "seconds":
      throw new WhenError("too_often", 'Schedules fire at most once a minute. Write "every minute", or longer.');
    case "day":
    case "days":
      throw ofDays("every day at 9");
    case "week":
    case "weeks":
      throw ofDays("every Monday at 9");
    case "month":
    case "months":
      throw ofDays("on the 1st of each month at 9");
    default:
      return null;
  }
  const begins = readBegins(rest);
  return begins && { kind: "interval", everyMinutes: minutes, anchor: anchorOf(rules, begins, now), zone };
}

function readBegins(words: string[]): Begins | null {
  const [first, second, third, ...more] = words;
  if (first === undefined) return { minute: 0, day: null };
  if (more.length > 0 || second === undefined) return null;
  if (first === "starting" && second === "at" && third !== undefined) {
    const minute = clock(third);
    return minute === null ? null : { minute, day: null };
  }
  if (first !== "from") return null;
  if (third === undefined) {
    const minute = clock(second);
    return minute === null ? null : { minute, day: null };
  }
  const [day, minute] = [dateOf(second), clock(third)];
  return day === null || minute === null ? null : { minute, day };
}

function ofDays(example: string): WhenError {
  return new WhenError(
    "phrase",
    `An interval is of minutes or hours, as in "every 48 hours from 09:00". For days of the calendar write "${example}".`,
  );
}

/** The local second of a day's midnight. */
function dateOf(word: string): number | null {
  if (!/^(19[7-9][0-9]|20[0-9]{2}|21[0-9]{2})-[0-9]{2}-[0-9]{2}$/.test(word)) return null;
  const midnight = Date.parse(`${word}T00:00:00Z`);
  if (Number.isNaN(midnight)) return null;
  // Some platforms take 30 February for 2 March.
  return new Date(midnight).toISOString().startsWith(word) ? midnight / 1000 : null;
}

function anchorOf(zone: Zone, begins: Begins, now: number): number {
  const second = Math.floor(now / 1000);
  const today = Math.floor((second + zone.offsetAt(second)) / DAY) * DAY;
  return Math.max(zone.instantOf((begins.day ?? today) + begins.minute * 60), 0) * 1000;
}

function readExpression(words: string[]): string {
  const expression = atMinute(words) ?? atTimes(words);
  if (expression === null) throw new WhenError("phrase", `This phrase is not understood. ${EXAMPLES}`);
  return expression;
}

function atMinute(words: string[]): string | null {
  const [every, hour, at, time = "", ...more] = words;
  if (every !== "every" || hour !== "hour" || at !== "at" || more.length > 0 || !time.startsWith(":")) return null;
  const minute = number(time.slice(1), 0, 59);
  return minute === null ? null : `${minute} * * * *`;
}

/** `DAYS at TIMES`, as a cron expression. */
function atTimes(words: string[]): string | null {
  const at = words.indexOf("at");
  if (at < 0) return null;
  const days = readDays(words.slice(0, at));
  const times = readList(words.slice(at + 1), clock);
  if (days === null || times === null) return null;
  const minute = (times[0] ?? 0) % 60;
  if (times.some((time) => time % 60 !== minute)) {
    throw new WhenError(
      "phrase",
      'Several times in one schedule have the same minute, as in "at 09:30 and 18:30". Make a schedule for each of these times.',
    );
  }
  return `${minute} ${joined(times.map((time) => Math.floor(time / 60)))} ${days}`;
}

/** The last three fields of the expression. */
function readDays(words: string[]): string | null {
  switch (words.join(" ")) {
    case "every day":
    case "daily":
      return "* * *";
    case "every weekday":
    case "each weekday":
    case "on weekdays":
    case "weekdays":
      return "* * 1-5";
    case "every weekend":
    case "on weekends":
    case "weekends":
      return "* * 0,6";
  }
  const [first, second] = words;
  if (first === "on" && second === "the") {
    const which = words.slice(2, -3);
    return words.length >= 5 && /^of (each|every) month$/.test(words.slice(-3).join(" "))
      ? daysOfTheMonth(which)
      : null;
  }
  if (first === "every" && second === "year" && words[2] === "on" && words.length === 5) {
    return dateOfTheYear(words[3] ?? "", words[4] ?? "");
  }
  if (first === "every" && words.length === 3) {
    const date = dateOfTheYear(second ?? "", words[2] ?? "");
    if (date !== null) return date;
  }
  return namedDays(first === "every" || first === "on" ? words.slice(1) : words);
}

function namedDays(words: string[]): string | null {
  const days = readList(words, (word) => index(DAYS, word.endsWith("s") ? word.slice(0, -1) : word));
  return days && `* * ${joined(days)}`;
}

function daysOfTheMonth(words: string[]): string | null {
  const [which = "", day = "", ...more] = words;
  if (more.length === 0) {
    if (which === "last" && day === "day") return "L * *";
    if (which === "last" && day === "weekday") return "LW * *";
    if (which === "first" && day === "weekday") return "1W * *";
    const [weekday, place] = [index(DAYS, day), index(ORDINALS, which)];
    if (which === "last") return weekday === null ? null : `* * ${weekday}#L`;
    if (place !== null && words.length === 2) return weekday === null ? null : `* * ${weekday}#${place + 1}`;
  }
  const days = readList(words, ordinal);
  return days && `${joined(days)} * *`;
}

function dateOfTheYear(one: string, other: string): string | null {
  const [first, second] = [index(MONTHS, one), index(MONTHS, other)];
  if ((first === null) === (second === null)) return null;
  const text = first === null ? one : other;
  const day = number(text, 1, 31) ?? ordinal(text);
  return day === null ? null : `${day} ${(first ?? second ?? 0) + 1} *`;
}

function ordinal(word: string): number | null {
  const day = number(word.replace(/[a-z]+$/, ""), 1, 31);
  return day !== null && word === `${day}${ordinalEnding(day)}` ? day : null;
}

/** `st`, `nd`, `rd` or `th`. */
export function ordinalEnding(number: number): string {
  if (number % 100 >= 11 && number % 100 <= 13) return "th";
  return ["th", "st", "nd", "rd"][number % 10] ?? "th";
}

/** `9`, `09:30`, `9am`, `9:30pm`, `noon` or `midnight`, as minutes since midnight. */
function clock(word: string): number | null {
  if (word === "noon") return 12 * 60;
  if (word === "midnight") return 0;
  const half = word.endsWith("am") ? 0 : word.endsWith("pm") ? 12 : null;
  const time = half === null ? word : word.slice(0, -2);
  const colon = time.indexOf(":");
  const minute = colon < 0 ? 0 : time.length - colon === 3 ? number(time.slice(colon + 1), 0, 59) : null;
  const hourText = colon < 0 ? time : time.slice(0, colon);
  const hour = half === null ? number(hourText, 0, 23) : number(hourText, 1, 12);
  if (minute === null || hour === null) return null;
  return (half === null ? hour : (hour % 12) + half) * 60 + minute;
}

/** `a`, `a and b`, `a, b and c`. */
function readList(words: string[], read: (word: string) => number | null): number[] | null {
  const values: number[] = [];
  let wantsValue = true;
  for (const word of words) {
    if (word === "and" || word === ",") {
      // "a, b, and c" has both.
      wantsValue = true;
    } else {
      const value = wantsValue ? read(word) : null;
      if (value === null) return null;
      values.push(value);
      wantsValue = false;
    }
  }
  return wantsValue ? null : values;
}

function joined(values: number[]): string {
  return [...new Set(values)].sort((one, other) => one - other).join(",");
}

function index(names: string[], word: string): number | null {
  const place = names.indexOf(word);
  return place < 0 ? null : place;
}

function number(word: string, least: number, most: number): number | null {
  const value = digits(word, 2);
  return value !== null && value >= least && value <= most ? value : null;
}

function digits(word: string, most: number): number | null {
  return /^[0-9]+$/.test(word) && word.length <= most ? Number(word) : null;
}
