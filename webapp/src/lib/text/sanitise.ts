// Everything a model, a tool or a repository wrote is hostile until shown to be harmless. Markup is the job of
// the Markdown renderer; here go the characters that change how the text around them reads.

/** C0 and C1 controls but tab and newline, and DEL: terminals obey them, readers do not see them. */
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;
/** Direction marks, embeddings, overrides and isolates: they make text read as something it is not. */
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** Characters without any look: tags, invisible operators, fillers, the byte order mark. Joiners stay, scripts and emoji need them. */
const INVISIBLE = /[\u{e0000}-\u{e007f}\u2060-\u2064\u206a-\u206f\u180e\u3164\uffa0\ufeff\ufff9-\ufffb]/gu;

/** Text that is safe to read: without control characters, overrides of direction and invisible ones. */
export function readable(text: string): string {
  return text
    .replace(/\r\n?|\u2028|\u2029/g, "\n")
    .replace(CONTROLS, "")
    .replace(BIDI, "")
    .replace(INVISIBLE, "")
    .toWellFormed();
}

/** The same for one line: a name, a title, a path. */
export function readableLine(text: string): string {
  return readable(text).replace(/\s+/g, " ").trim();
}

// Sequences of terminals: OSC, DCS and their kin up to their end, CSI, and the two-character ones.
const ANSI =
  /\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?|(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|\u001b[ -/]*[0-~]/g;

/** What a tool wrote, as a terminal would have left it: without sequences, and progress lines by their last state. */
export function plainOutput(text: string): string {
  const lines = text.replace(ANSI, "").replace(/\r+\n/g, "\n").split("\n");
  return readable(lines.map(lastOverwrite).join("\n"));
}

function lastOverwrite(line: string): string {
  if (!line.includes("\r")) return line;
  return line.split("\r").findLast((state) => state !== "") ?? "";
}

/**
 * Whether the text has a word so long that it has to be broken over many lines. With kerning on, laying out such
 * a word takes time that grows with the square of its length; 20,000 letters hold a page up for seconds.
 */
export function hasEndlessWord(text: string): boolean {
  return /\S{400}/.test(text);
}

const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/** The address if a person may follow it: absolute, and of a scheme that only opens a page or a letter. */
export function safeHref(href: unknown): string | null {
  if (typeof href !== "string") return null;
  try {
    const url = new URL(href);
    return SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
