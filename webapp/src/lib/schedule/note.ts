/** What changes of the clocks do to a firing; the twin of `protocol::schedule::Note`. */
export type Note =
  | { kind: "moved"; wanted: string; at: string }
  | { kind: "once"; time: string }
  | { kind: "again"; time: string }
  | { kind: "left_out"; day: string; from: string; until: string }
  | { kind: "shifted"; minutes: number }
  | { kind: "changed"; minutes: number }
  | { kind: "unknown" };

/** For a person to read. */
export function noteText(note: Note): string {
  switch (note.kind) {
    case "moved":
      return `${note.wanted} does not exist on this day, because the clocks go forward: it fires at ${note.at}.`;
    case "once":
      return `${note.time} comes twice on this day, because the clocks go back: it fires the first time only.`;
    case "again":
      return `${note.time} comes twice on this day, because the clocks go back: this is the second time.`;
    case "left_out":
      return `On ${note.day} the clocks jump from ${note.from} to ${note.until}: what is between them is left out.`;
    case "shifted": {
      const side = note.minutes < 0 ? "earlier" : "later";
      return `From here on ${lengthText(Math.abs(note.minutes))} ${side} on the clock, because the clocks change.`;
    }
    case "changed": {
      const side = note.minutes < 0 ? "back" : "forward";
      return `The clocks go ${side} by ${lengthText(Math.abs(note.minutes))} before this one; the time on the clock stays the same.`;
    }
    case "unknown":
      return "The clocks change around this one.";
  }
}

/** A number of minutes, in words. */
export function lengthText(minutes: number): string {
  const count = (number: number, unit: string): string => (number === 1 ? `1 ${unit}` : `${number} ${unit}s`);
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  if (hours === 0) return count(rest, "minute");
  return rest === 0 ? count(hours, "hour") : `${count(hours, "hour")} ${count(rest, "minute")}`;
}

/** A local time as `09:30`, with seconds only where there are any. */
export function clockTime(local: number): string {
  const time = new Date(local * 1000).toISOString().slice(11, 19);
  return time.endsWith(":00") ? time.slice(0, 5) : time;
}

/** A local day as `2026-03-29`. */
export function dayText(local: number): string {
  return new Date(local * 1000).toISOString().slice(0, 10);
}
