/** The Convex function of one of the contract: `worker.chat.view` is `worker/chat:view`. */
export function convexName(name: string): string {
  const dot = name.lastIndexOf(".");
  return `${name.slice(0, dot).replaceAll(".", "/")}:${name.slice(dot + 1)}`;
}

/** What every function takes: the contract's arguments, and for a change the key under which it happens once. */
export interface Envelope {
  args?: unknown;
  key?: string;
}

/** The arguments as they travel: what is undefined is absent, as in JSON. */
export function plainArgs(args: unknown): unknown {
  return JSON.parse(JSON.stringify(args));
}
