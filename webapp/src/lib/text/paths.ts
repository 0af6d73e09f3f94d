/** The directory in which a worker works, as its machine writes it. */
export function absoluteDirectory(root: string, directory: string): string {
  const base = root.replace(/\/+$/, "");
  return directory === "" ? base : `${base}/${directory}`;
}

/** A path as seen from the worker's directory; others stay as they are. opencode leaves the first slash out at times. */
export function fromDirectory(path: string, directory: string | null): string {
  if (!directory) return path;
  for (const base of [`${directory}/`, `${directory.slice(1)}/`]) {
    if (path.startsWith(base) && path.length > base.length) return path.slice(base.length);
  }
  return path;
}
