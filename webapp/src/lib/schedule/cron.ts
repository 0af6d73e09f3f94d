import { Cron } from "croner";

import { LIMITS } from "./shared.gen";
import { byteLength, WhenError } from "./when";
import { asciiLower } from "./zone";

/**
 * A cron expression that was read. The parser is croner, here and (of the same author, on crates.io) in Rust; what the
 * two do not read alike is refused before they see it. Zones are no matter of this file: it knows local times, in
 * seconds since 1970-01-01T00:00 local.
 */
export class Expression {
  /**
   * Whether it has a `*` for the minute or the hour: such a schedule goes on in real time when the clocks change, the
   * others keep to the times they name.
   */
  readonly isPeriodic: boolean;

  private constructor(
    private readonly cron: Cron,
    readonly fields: Fields,
  ) {
    this.isPeriodic = fields[0].includes("*") || fields[1].includes("*");
  }

  static read(text: string): Expression {
    const fields = fieldsOf(text);
    FIELDS.forEach((about, place) => {
      checkField(fields[place] ?? "", about);
    });
    const cron = parse(fields.join(" "));
    if (!cron) throw new WhenError("field", `"${text}" is not a cron expression. ${EXAMPLE}`);
    const expression = new Expression(cron, fields);
    if (expression.nextLocal(YEAR_2000) === null) {
      throw new WhenError(
        "never",
        `"${text}" never fires: no month has such a day. Choose a date that exists, or L for the last day of the month.`,
      );
    }
    return expression;
  }

  /** The first local time of the expression that is not before `local`. */
  nextLocal(local: number): number | null {
    const found = this.cron.nextRun(new Date((local - 1) * 1000));
    return found === null ? null : found.getTime() / 1000;
  }
}

type Fields = [minute: string, hour: string, dayOfMonth: string, month: string, dayOfWeek: string];

/** 2000-01-01T00:00, as a local time. In the 40 years after it every date comes on every day of the week. */
const YEAR_2000 = 946_684_800;

const EXAMPLE =
  'An expression is five fields: minute, hour, day of the month, month, day of the week; "0 9 * * 1-5" is every weekday at 9.';

interface About {
  name: string;
  values: number;
  names: string[];
  allowed: string;
}

const FIELDS: About[] = [
  { name: "minute", values: 60, names: [], allowed: "Minutes are 0 to 59" },
  { name: "hour", values: 24, names: [], allowed: "Hours are 0 to 23" },
  {
    name: "day of the month",
    values: 31,
    names: [],
    allowed: "Days are 1 to 31, L for the last one, LW for the last weekday, 15W for the weekday nearest to the 15th",
  },
  {
    name: "month",
    values: 12,
    names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    allowed: "Months are 1 to 12 or JAN to DEC",
  },
  {
    name: "day of the week",
    values: 7,
    names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    allowed: "Days are 0 to 7 or SUN to SAT (0 and 7 are Sunday), 1#2 for the second Monday, 5#L for the last Friday",
  },
];

const NICKNAMES: Record<string, string> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

function fieldsOf(given: string): Fields {
  if (byteLength(given) > LIMITS.expressionMaxBytes) {
    throw new WhenError(
      "too_long",
      `The cron expression is longer than ${LIMITS.expressionMaxBytes} bytes. Make two schedules of it.`,
    );
  }
  const text = given.replace(/^[ \t]+|[ \t]+$/g, "");
  if (text === "") throw new WhenError("empty", `The cron expression is empty. ${EXAMPLE}`);
  const lower = asciiLower(text);
  const plain = Object.hasOwn(NICKNAMES, lower) ? (NICKNAMES[lower] ?? text) : text;
  if (plain.startsWith("@")) {
    throw new WhenError(
      "fields",
      `There is no "${plain}" here. There are @hourly, @daily, @midnight, @weekly, @monthly and @yearly.`,
    );
  }
  const parts = plain.split(/[ \t]+/);
  if (parts.length === 6) {
    if (parts[0] !== "0") {
      throw new WhenError(
        "too_often",
        "Schedules fire on the minute, at most once a minute. Leave the field for the seconds out, or write 0.",
      );
    }
    parts.shift();
  }
  const [minute, hour, dayOfMonth, month, dayOfWeek, ...rest] = parts;
  if (
    minute === undefined ||
    hour === undefined ||
    dayOfMonth === undefined ||
    month === undefined ||
    dayOfWeek === undefined ||
    rest.length > 0
  ) {
    const found = parts.length === 1 ? "one field" : `${parts.length} fields`;
    throw new WhenError("fields", `This cron expression has ${found}. ${EXAMPLE}`);
  }
  return [minute, hour, dayOfMonth, month, dayOfWeek];
}

/** What both parsers read alike: anything else is refused here, and so is what neither takes. */
function checkField(field: string, about: About): void {
  const isDay = about.values === 31 || about.values === 7;
  const refuse = (why: string): never => {
    throw new WhenError("field", `The ${about.name} "${field}" can't be read: ${why}`);
  };
  const odd = Array.from(field).find((letter) => !/^[0-9A-Za-z*,\-/#?+]$/.test(letter));
  if (odd !== undefined) refuse(`"${odd}" has no meaning in it. ${about.allowed}.`);
  const items = (about.values === 7 ? field.replace(/^\+/, "") : field).split(",");
  for (const item of items) {
    if (item === "") refuse("a list has no empty places.");
    if (items.length > 1 && (item === "*" || item === "?")) refuse(`"${item}" is everything, so it stands alone.`);
    if (items.length > 1 && /^lw$/i.test(item)) refuse(`"${item}" stands alone. Make two schedules of it.`);
    if (item.includes("?") && !(isDay && item === "?")) {
      refuse('"?" is for days, alone in its field. Write "*" for all.');
    }
    if (about.values === 7 && /^l$/i.test(item)) refuse(`"L" needs a day before it. ${about.allowed}.`);
    const slash = item.indexOf("/");
    const step = item.slice(slash + 1);
    if (slash >= 0 && /^[0-9]*$/.test(step) && !(Number(step) >= 1 && Number(step) <= about.values)) {
      refuse(`steps are 1 to ${about.values}.`);
    }
  }
  const isKnown = items.every((item) => takes(about, item.toUpperCase()));
  if (!isKnown || !parse(FIELDS.map((other) => (other.name === about.name ? field : "*")).join(" "))) {
    refuse(`${about.allowed}; also ranges (2-5), lists (2,5) and steps (*/5).`);
  }
}

/** Whether an item of the field's list has a form that both parsers know. */
function takes(about: About, item: string): boolean {
  if (item === "*") return true;
  if (about.values === 31) {
    if (item === "?" || item === "L" || item === "LW") return true;
    if (item.endsWith("W") && has(about, item.slice(0, -1))) return true;
  }
  if (about.values === 7) {
    if (item === "?") return true;
    const hash = item.indexOf("#");
    if (hash >= 0) {
      const [days, place] = [item.slice(0, hash), item.slice(hash + 1)];
      return (/^[1-5]$/.test(place) && hasRange(about, days)) || (place === "L" && has(about, days));
    }
    if (item.endsWith("L") && has(about, item.slice(0, -1))) return true;
  }
  const slash = item.indexOf("/");
  if (slash < 0) return hasRange(about, item);
  const range = item.slice(0, slash);
  return slash < item.length - 1 && (range === "*" || (range.includes("-") && hasRange(about, range)));
}

function hasRange(about: About, range: string): boolean {
  const dash = range.indexOf("-");
  return dash < 0 ? has(about, range) : has(about, range.slice(0, dash)) && has(about, range.slice(dash + 1));
}

function has(about: About, value: string): boolean {
  const least = about.values === 31 || about.values === 12 ? 1 : 0;
  // Sunday is 7 as well.
  const most = about.values - 1 + least + (about.values === 7 ? 1 : 0);
  return about.names.includes(value) || (/^[0-9]{1,2}$/.test(value) && Number(value) >= least && Number(value) <= most);
}

/** Croner in UTC is a clock that nobody ever touches: it searches local times. Without a function it sets no timer. */
function parse(expression: string): Cron | null {
  try {
    return new Cron(expression, { utcOffset: 0, mode: "5-part" });
  } catch {
    return null;
  }
}
