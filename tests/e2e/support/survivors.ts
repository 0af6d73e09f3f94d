import { readdirSync, readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";

/** In the environment of every process that a test starts, and so of all that those start. */
export const MARKER = "E2E_RUN";

/** A process of a test that is still there. */
export interface Survivor {
  pid: number;
  command: string;
}

/** The processes that carry a mark, zombies left out: those have ended. */
export function survivorsOf(mark: string): Survivor[] {
  const wanted = `${MARKER}=${mark}`;
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const environment = readFileSync(`/proc/${name}/environ`, "latin1").split("\0");
      const command = readFileSync(`/proc/${name}/cmdline`, "latin1").split("\0").join(" ").trim();
      if (!environment.some((entry) => entry.startsWith(wanted)) || command === "") return [];
      return [{ pid: Number(name), command }];
    } catch {
      // It has ended meanwhile, or is somebody else's.
      return [];
    }
  });
}

/** Marks this run, and when it is over sees that none of its processes is left. */
export default function setup(): () => void {
  const run = randomUUID();
  process.env["E2E_MARK"] = run;
  return () => {
    const left = survivorsOf(run);
    for (const { pid } of left) process.kill(pid, "SIGKILL");
    if (left.length > 0) throw new Error(`Processes outlived the tests:\n${left.map(({ pid, command }) => `  ${pid} ${command}`).join("\n")}`);
  };
}
