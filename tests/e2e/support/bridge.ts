import { resolve } from "node:path";

import { expect } from "@playwright/test";

import type { Home } from "./home.ts";
import type { Started } from "./process.ts";

const FOLDER = resolve(import.meta.dirname, "../../convex-bridge");

/** The Convex bridge: the official protocols in front of the real functions (tests/convex-bridge/README.md). */
export class Bridge {
  readonly url: string;
  readonly process: Started;

  private constructor(process: Started, url: string) {
    this.process = process;
    this.url = url;
  }

  /** `functions`: other ones than those of convex/; `auth`: the value of the deployment's ORCHESTRATOR_AUTH. */
  static async start(home: Home, { auth, functions }: { auth: string; functions?: string }): Promise<Bridge> {
    const args = ["--control", "--auth", auth, ...(functions === undefined ? [] : ["--functions", resolve(FOLDER, functions)])];
    const process = home.startProgram(resolve(FOLDER, "bridge"), args);
    const [, url = ""] = await process.says("stdout", /^(http\S+)$/m);
    return new Bridge(process, url);
  }

  /** The deployment can't be reached by anybody, or can be again; what it has stays. */
  async refuse(on: boolean): Promise<void> {
    await this.#post("refuse", { on });
  }

  /** Its port closes for a while; what it has stays. */
  async restart(downMs: number): Promise<void> {
    await this.#post("restart", { ms: downMs });
  }

  /** The next call of this mutation is cut off: before it runs, or after its commit and before its answer. */
  async drop(when: "before" | "after", path: string): Promise<void> {
    await this.#post("drop", { when, function: path });
  }

  /** Every connection is cut, once. */
  async cut(): Promise<void> {
    await this.#post("cut", {});
  }

  /** All stored documents of a table. */
  async rows(table: string): Promise<Record<string, unknown>[]> {
    const tables = (await (await fetch(`${this.url}/_bridge/tables`)).json()) as Record<string, Record<string, unknown>[]>;
    return tables[table] ?? [];
  }

  /** How often a function was run for whoever called it or follows it. */
  async calls(path: string): Promise<number> {
    const { functions } = (await (await fetch(`${this.url}/_bridge/counts`)).json()) as { functions: Record<string, { calls: number }> };
    return functions[path]?.calls ?? 0;
  }

  async #post(command: string, body: object): Promise<void> {
    const answer = await fetch(`${this.url}/_bridge/${command}`, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });
    expect(answer.status, `bridge: ${command}`).toBe(200);
  }
}
