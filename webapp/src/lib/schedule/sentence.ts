import type { Expression } from "./cron";
import { Timing } from "./firing";
import { clockTime, dayText, lengthText } from "./note";
import { DAYS, MONTHS, ordinalEnding, ORDINALS } from "./phrase";
import { type When, WhenError } from "./when";
import type { Zone } from "./zone";

/** The phrase that `readPhrase` makes this of, if there is one. */
export function phraseOf(when: When): string | null {
  let timing: Timing;
  try {
    timing = Timing.of(when);
  } catch (error) {
    if (error instanceof WhenError) return null;
    throw error;
  }
  if (when.kind === "interval") return intervalPhrase(when.everyMinutes, when.anchor / 1000, timing.zone);
  return timing.rule.kind === "cron" ? cronPhrase(timing.rule.expression) : null;
}

/** A sentence for any timing: its phrase, or the expression itself, and the zone. */
export function sentence(when: When): string {
  const phrase = phraseOf(when);
  if (when.kind === "cron") {
    return phrase === null
      ? `At the times of the cron expression "${when.expression}", ${when.zone} time`
      : `${capitalised(phrase)}, ${when.zone} time`;
  }
  return phrase === null ? "At times that this version does not know" : capitalised(phrase);
}

function intervalPhrase(everyMinutes: number, anchor: number, zone: Zone): string {
  const local = anchor + zone.offsetAt(anchor);
  const length = lengthText(everyMinutes);
  let every = `${everyMinutes} minutes`;
  if (length === "1 minute") every = "minute";
  else if (length === "1 hour") every = "hour";
  else if (everyMinutes % 60 === 0) every = `${everyMinutes / 60} hours`;
  const time = clockTime(local);
  if (1440 % everyMinutes !== 0) return `every ${every} from ${dayText(local)} ${time}`;
  return time === "00:00" ? `every ${every}` : `every ${every} from ${time}`;
}

function cronPhrase(expression: Expression): string | null {
  const [minuteField, hour, dayOfMonth, month, dayOfWeek] = expression.fields;
  const minute = number(minuteField, 59);
  if (minute === null) return null;
  const two = (value: number): string => String(value).padStart(2, "0");
  if ([hour, dayOfMonth, month, dayOfWeek].every((field) => field === "*")) return `every hour at :${two(minute)}`;
  const hours = numbers(hour, 23);
  const days = daysPhrase(dayOfMonth, month, dayOfWeek);
  if (hours === null || days === null) return null;
  return `${days} at ${listed(hours.map((value) => `${two(value)}:${two(minute)}`))}`;
}

function daysPhrase(dayOfMonth: string, month: string, dayOfWeek: string): string | null {
  const week = namedAsNumbers(dayOfWeek);
  if (month !== "*") {
    const [name, day] = [MONTHS[(number(month, 12) ?? 0) - 1], number(dayOfMonth, 31)];
    return week !== "*" || name === undefined || day === null ? null : `every year on ${day} ${capitalised(name)}`;
  }
  if (week !== "*") return dayOfMonth === "*" ? weekPhrase(week) : null;
  switch (dayOfMonth) {
    case "*":
      return "every day";
    case "L":
    case "l":
      return "on the last day of each month";
    case "LW":
    case "lw":
      return "on the last weekday of each month";
    case "1W":
    case "1w":
      return "on the first weekday of each month";
  }
  const days = numbers(dayOfMonth, 31);
  return days && `on the ${listed(days.map((day) => `${day}${ordinalEnding(day)}`))} of each month`;
}

function weekPhrase(week: string): string | null {
  if (week === "1-5") return "every weekday";
  const hash = week.indexOf("#");
  if (hash >= 0) {
    const [day, place] = [number(week.slice(0, hash), 7), week.slice(hash + 1)];
    const which = /^l$/i.test(place) ? "last" : ORDINALS[(number(place, 5) ?? 0) - 1];
    return day === null || which === undefined ? null : `on the ${which} ${weekday(day)} of each month`;
  }
  const days = numbers(week, 7);
  if (days === null) return null;
  // The week begins on Monday.
  const order = [...new Set(days.map((day) => day % 7))].sort((one, other) => ((one + 6) % 7) - ((other + 6) % 7));
  return `every ${listed(order.map(weekday))}`;
}

function namedAsNumbers(field: string): string {
  return DAYS.reduce((text, day, place) => text.replaceAll(day.slice(0, 3), String(place)), field.toLowerCase());
}

function weekday(day: number): string {
  return capitalised(DAYS[day % 7] ?? "");
}

function numbers(field: string, most: number): number[] | null {
  const values: number[] = [];
  for (const item of field.split(",")) {
    const value = number(item, most);
    if (value === null) return null;
    values.push(value);
  }
  return [...new Set(values)].sort((one, other) => one - other);
}

function number(digits: string, most: number): number | null {
  return /^[0-9]+$/.test(digits) && Number(digits) <= most ? Number(digits) : null;
}

function listed(items: string[]): string {
  const last = items.at(-1) ?? "";
  return items.length < 2 ? last : `${items.slice(0, -1).join(", ")} and ${last}`;
}

function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
