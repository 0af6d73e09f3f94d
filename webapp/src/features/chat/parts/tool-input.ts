export interface ToolInput {
  /** One line that says what the call is about. */
  headline: string;
  rows: { label: string; text: string }[];
  /** What an edit changes, as a unified diff. */
  diff: string | null;
}

/** The arguments of a tool call for a person to read; whatever can't be understood is shown as it came. */
export function inputOf(tool: string, json: string): ToolInput {
  const input = parse(json);
  if (!input) return { headline: "", rows: json === "" ? [] : [{ label: "input", text: json }], diff: null };
  if (tool === "bash") {
    const { command, description, ...rest } = input;
    return { headline: line(description ?? command), rows: [...row("command", command), ...others(rest)], diff: null };
  }
  if (typeof input.oldString === "string" && typeof input.newString === "string") {
    const { oldString, newString, filePath, ...rest } = input;
    return { headline: line(filePath), rows: others(rest), diff: replacement(oldString, newString) };
  }
  const headline = line(input.filePath ?? input.path ?? input.pattern ?? input.url ?? input.query ?? input.description);
  return { headline, rows: others(input), diff: null };
}

function others(input: Record<string, unknown>): { label: string; text: string }[] {
  return Object.entries(input).flatMap(([label, value]) => row(label, value));
}

function row(label: string, value: unknown): { label: string; text: string }[] {
  if (value === undefined || value === null || value === "") return [];
  return [{ label, text: typeof value === "string" ? value : JSON.stringify(value, null, 2) }];
}

function line(value: unknown): string {
  return typeof value === "string" ? (value.split("\n", 1)[0] ?? "") : "";
}

function replacement(before: string, after: string): string {
  const minus = before === "" ? [] : before.split("\n").map((text) => `-${text}`);
  const plus = after === "" ? [] : after.split("\n").map((text) => `+${text}`);
  return [...minus, ...plus].join("\n");
}

/** The arguments as an object; null if they are none, or were cut off. */
export function parse(json: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
