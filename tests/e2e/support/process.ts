import { spawn, type ChildProcess } from "node:child_process";

import { expect } from "@playwright/test";

/** How a process ended. */
export interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A process that a test started, with all that it said. */
export class Started {
  readonly #child: ChildProcess;
  readonly ended: Promise<End>;
  stdout = "";
  stderr = "";
  end: End | null = null;

  constructor(program: string, args: readonly string[], options: { env: NodeJS.ProcessEnv; cwd: string; input?: string }) {
    this.#child = spawn(program, args, { env: options.env, cwd: options.cwd, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.#child.stdin?.on("error", () => undefined);
    if (options.input !== undefined) this.#child.stdin?.end(options.input);
    this.ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code, signal) => resolve((this.end = { code, signal })));
    });
    // Whoever waits for the end sees the error; nobody waiting is not another one.
    this.ended.catch(() => undefined);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("the process did not start");
    return this.#child.pid;
  }

  /** Waits until it has said something; fails with all it said if it ends before. */
  async says(stream: "stdout" | "stderr", pattern: RegExp): Promise<RegExpMatchArray> {
    await expect
      .poll(() => pattern.test(this[stream]) || this.end !== null, { message: `"${pattern}" on ${stream}; so far:\n${this.stdout}\n${this.stderr}` })
      .toBe(true);
    const match = this[stream].match(pattern);
    if (!match) throw new Error(`It ended (${JSON.stringify(this.end)}) without "${pattern}":\n${this.stdout}\n${this.stderr}`);
    return match;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.end === null) this.#child.kill(signal);
  }

  /** Ends it in order; by force if it does not listen. */
  async stop(signal: NodeJS.Signals = "SIGTERM", limitMs = 60_000): Promise<End> {
    this.signal(signal);
    const force = setTimeout(() => this.signal("SIGKILL"), limitMs);
    const end = await this.ended;
    clearTimeout(force);
    return end;
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.ended;
  }
}
