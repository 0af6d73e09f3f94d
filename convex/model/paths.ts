import { LIMITS } from "./gen/wire";
import { refusal } from "./refusal";
import { byteLength, hasControl } from "./texts";

/**
 * A path below the root in its one form: no empty parts, no `.`; `..` and absolute paths are refused. The machine,
 * which has the root open, checks again what the path leads to.
 */
export function checkedPath(path: string): string {
  const size = byteLength(path);
  if (size > LIMITS.pathMaxBytes) {
    throw refusal("too_large", `The path has ${size} bytes; ${LIMITS.pathMaxBytes} is the limit.`);
  }
  if (path.startsWith("/")) {
    throw misfit("is an absolute one");
  }
  if (hasControl(path)) {
    throw misfit("has control characters");
  }
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) {
    throw misfit('leads upwards with ".."');
  }
  return parts.join("/");
}

/** As {@link checkedPath}, for something that is made, moved or taken away: the root itself is refused. */
export function checkedTarget(path: string): string {
  const target = checkedPath(path);
  if (target === "") {
    throw refusal("invalid", "That is the machine's root itself. Give something below it.");
  }
  return target;
}

const misfit = (why: string) => refusal("invalid", `The path ${why}. Give one below the machine's root.`);
