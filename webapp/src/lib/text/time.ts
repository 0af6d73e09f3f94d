import type { Timestamp } from "../backend/wire.gen";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** `14:02`, with the day where it was not today. */
export function clockTime(at: Timestamp, now: number = Date.now()): string {
  const date = new Date(at);
  const time = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
  if (date.toDateString() === new Date(now).toDateString()) return time;
  const withYear = date.getFullYear() === new Date(now).getFullYear() ? {} : ({ year: "numeric" } as const);
  return `${date.toLocaleDateString(undefined, { day: "numeric", month: "short", ...withYear })}, ${time}`;
}

/** `14:02:31`, with the day where it was not today: where seconds count. */
export function exactTime(at: Timestamp, now: number = Date.now()): string {
  const seconds = String(new Date(at).getSeconds()).padStart(2, "0");
  return `${clockTime(at, now)}:${seconds}`;
}

/** `now`, `5m`, `3h`, `2d`, then the day: for lists, where a column is narrow. */
export function shortAge(at: Timestamp, now: number = Date.now()): string {
  const age = now - at;
  if (age < MINUTE_MS) return "now";
  if (age < 60 * MINUTE_MS) return `${Math.floor(age / MINUTE_MS)}m`;
  if (age < DAY_MS) return `${Math.floor(age / (60 * MINUTE_MS))}h`;
  if (age < 7 * DAY_MS) return `${Math.floor(age / DAY_MS)}d`;
  return new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

/** `0.8 s`, `12 s`, `3 min 05 s`, `1 h 02 min`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${pad(Math.floor(seconds % 60))} s`;
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

/** The same in whole seconds: for what counts while one looks. */
export function elapsed(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1_000);
  return seconds < 10 ? `${seconds} s` : duration(seconds * 1_000);
}

/** `9:07`: for a countdown. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor((seconds % 3_600) / 60);
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
