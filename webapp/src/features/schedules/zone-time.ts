import type { Timestamp } from "@/lib/backend/wire.gen";
import type { When } from "@/lib/schedule";

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string, kind: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${kind} ${zone}`;
  const known = formats.get(key);
  if (known) return known;
  let made: Intl.DateTimeFormat;
  try {
    made = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone });
  } catch {
    // A zone that this browser does not know; the time is then the browser's own.
    made = new Intl.DateTimeFormat("en-GB", options);
  }
  formats.set(key, made);
  return made;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;

/** `09:00`, on the clocks of a zone. */
export function timeIn(zone: string, at: Timestamp): string {
  return format(zone, "time", CLOCK).format(at);
}

/** `Mon 30 Nov`, in a zone; with the year where it is not this one. */
export function dayIn(zone: string, at: Timestamp, now: number): string {
  const day = { weekday: "short", day: "numeric", month: "short" } as const;
  const year = format(zone, "year", { year: "numeric" });
  const text =
    year.format(at) === year.format(now)
      ? format(zone, "day", day).format(at)
      : format(zone, "day of a year", { ...day, year: "numeric" }).format(at);
  // Some browsers put one behind the weekday, and some only where there is a year.
  return text.replaceAll(",", "");
}

/** `Mon 30 Nov, 09:00`, in a zone. */
export function momentIn(zone: string, at: Timestamp, now: number): string {
  return `${dayIn(zone, at, now)}, ${timeIn(zone, at)}`;
}

/** The day as `2026-11-30`, in a zone, and how far it has gone, from 0 to 1. */
export function placeIn(zone: string, at: Timestamp): { day: string; share: number } {
  const parts = format(zone, "place", { year: "numeric", month: "2-digit", day: "2-digit", ...CLOCK }).formatToParts(
    at,
  );
  const part = (type: string) => parts.find((other) => other.type === type)?.value ?? "";
  const minutes = Number(part("hour")) * 60 + Number(part("minute"));
  return { day: `${part("year")}-${part("month")}-${part("day")}`, share: minutes / 1_440 };
}

/** `in 5 min`, `in 3 h`, `in 2 days`; `now` once it is due. */
export function untilText(at: Timestamp, now: number): string {
  const minutes = Math.ceil((at - now) / 60_000);
  if (minutes <= 0) return "now";
  if (minutes < 90) return `in ${minutes} min`;
  const hours = Math.round(minutes / 60);
  if (hours < 48) return `in ${hours} h`;
  return `in ${Math.round(hours / 24)} days`;
}

/** `now`, `5 min ago`, `3 h ago`, `2 days ago`. */
export function sinceText(at: Timestamp, now: number): string {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 90) return `${minutes} min ago`;
  const hours = Math.round(minutes / 60);
  if (hours < 48) return `${hours} h ago`;
  return `${Math.round(hours / 24)} days ago`;
}

export function browserZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** The zone of a schedule; the browser's of one that only a newer page knows. */
export function zoneOf(when: When): string {
  return when.kind === "unknown" ? browserZone() : when.zone;
}
