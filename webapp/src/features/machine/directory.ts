import { LIMITS } from "@/lib/backend/wire.gen";
import { byteLength } from "@/lib/text/bytes";

/** A path below the root, as the wire has it; a pasted absolute path below the root is understood. */
export function cleanDirectory(typed: string, root: string | undefined): string {
  let path = typed.trim();
  const base = root?.replace(/\/+$/, "");
  if (base && (path === base || path.startsWith(`${base}/`))) path = path.slice(base.length);
  return path
    .replace(/^\/+/, "")
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}

/** What is wrong with a typed path, as far as the page can tell; the machine has the last word. */
export function problemOfDirectory(typed: string, root: string | undefined): string | null {
  const path = typed.trim();
  if (path.startsWith("~")) return "Write the path below the root; ~ is not known here.";
  if (path.startsWith("/") && (!root || !`${path}/`.startsWith(`${root.replace(/\/+$/, "")}/`))) {
    return "This path is not below the machine's root.";
  }
  if (path.split("/").includes("..")) return "A worker's directory can't lead out of the root with “..”.";
  if (byteLength(path) > LIMITS.pathMaxBytes) return `A path has at most ${LIMITS.pathMaxBytes} bytes.`;
  return null;
}
