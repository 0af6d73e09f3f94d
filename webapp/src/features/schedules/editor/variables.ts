/** The variables of a prompt; the twin of `protocol::schedule::VARIABLES`. */
export const VARIABLES: { name: string; text: string }[] = [
  { name: "date", text: "the day of the firing in the schedule's zone: 2026-11-30" },
  { name: "time", text: "the time of the firing in the schedule's zone: 09:00" },
  { name: "instant", text: "the instant of the firing in UTC: 2026-11-30T08:00Z" },
  { name: "schedule", text: "the schedule's name" },
  { name: "last_outcome", text: "how the run before ended: completed, failed, interrupted, cancelled, or none" },
  { name: "last_reason", text: "why the run before did not complete; nothing if it did" },
  { name: "last_date", text: "the day of the run before in the schedule's zone, or none" },
];

/** `{{name}}`, with blanks around the name; anything else in braces is text. */
const VARIABLE = /\{\{ *([a-z_]+) *\}\}/g;

/** The first variable of a prompt that there is not. */
export function unknownVariable(prompt: string): string | null {
  for (const [, name = ""] of prompt.matchAll(VARIABLE))
    if (!VARIABLES.some((known) => known.name === name)) return name;
  return null;
}
