// Paths as the wire has them: relative to the machine's root, empty for the root itself, `/` between the parts.
// A name that is no plain text is escaped: `\\` is a backslash, `\xHH` any other byte.

import { byteLength } from "@/lib/text/bytes";

const NAME_MAX_BYTES = 255;
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/;
/** Characters that make a name read as another one: overrides of direction, and those without any look. */
const DECEIVING =
  /[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u180e\u3164\uffa0\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

export function joinPath(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

export function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 0));
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Whether a path is a directory or lies in it. */
export function isWithin(path: string, directory: string): boolean {
  return directory === "" || path === directory || path.startsWith(`${directory}/`);
}

/** Every directory from the root's first child down to the path itself. */
export function ancestorsOf(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "");
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

/** A name to be read: what would deceive is spelled out. */
export function shownName(name: string): string {
  return name
    .replaceAll("\\\\", "\\")
    .replace(DECEIVING, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
    .toWellFormed();
}

/** A typed name as the wire wants it. */
export function escapedName(typed: string): string {
  return typed.replaceAll("\\", "\\\\");
}

/** A name to be typed anew; null if it can't be typed, since it has bytes that are no text. */
export function typedName(name: string): string | null {
  return name.replaceAll("\\\\", "").includes("\\") ? null : name.replaceAll("\\\\", "\\");
}

/** What is wrong with a typed name, as far as the page can tell; the machine has the last word. */
export function problemOfName(typed: string): string | null {
  if (typed === "." || typed === "..") return "“.” and “..” are no names.";
  if (typed.includes("/")) return "A name can't have “/” in it. Open the folder in which it shall be first.";
  if (CONTROLS.test(typed)) return "A name can't have line breaks or control characters.";
  if (byteLength(typed) > NAME_MAX_BYTES) return `A name has at most ${NAME_MAX_BYTES} bytes.`;
  return null;
}

/** The folder that git would make for a repository's address: its last part without `.git`. */
export function folderOfUrl(url: string): string {
  const path = url
    .trim()
    .replace(/[?#].*$/, "")
    .replace(/\/+$/, "");
  const last = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf(":")) + 1);
  const name = last.replace(/\.git$/, "");
  // An address that has only a host so far names no folder.
  return /^[a-z+]+:\/\/[^/]*$/i.test(path) || name === "." || name === ".." ? "" : name;
}
