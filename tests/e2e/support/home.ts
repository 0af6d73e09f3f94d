import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { expect } from "@playwright/test";

import { Started, type End } from "./process.ts";
import { MARKER, survivorsOf } from "./survivors.ts";

const TOP = resolve(import.meta.dirname, "../../..");
const ORCHESTRATOR = process.env["ORCHESTRATOR_PROGRAM"] ?? join(TOP, "target/debug/orchestrator");
const SCRIPTED_MODEL = process.env["SCRIPTED_MODEL_PROGRAM"] ?? join(TOP, "target/debug/scripted-model");

/** A computer of its own, as far as the product can tell: a home directory, and the processes started in it. */
export class Home {
  readonly path = mkdtempSync(join(tmpdir(), "orchestrator-e2e-"));
  readonly #mark = `${process.env["E2E_MARK"] ?? "unmarked"}/${randomUUID()}`;
  readonly #started: Started[] = [];

  /** The environment of a person who has set nothing. */
  get env(): NodeJS.ProcessEnv {
    return {
      PATH: process.env["PATH"],
      LANG: "C.UTF-8",
      HOME: this.path,
      ORCHESTRATOR_OPENCODE_DIR: join(TOP, "tests/opencode"),
      ORCHESTRATOR_DRAIN_SECONDS: "1",
      [MARKER]: this.#mark,
    };
  }

  /** Starts `orchestrator` with these arguments. */
  start(args: readonly string[], options: { env?: NodeJS.ProcessEnv; input?: string } = {}): Started {
    const { env = {}, ...rest } = options;
    return this.#keep(new Started(ORCHESTRATOR, args, { env: { ...this.env, ...env }, cwd: this.path, ...rest }));
  }

  /** Starts another program of the tests. */
  startProgram(program: string, args: readonly string[]): Started {
    return this.#keep(new Started(program, args, { env: this.env, cwd: this.path }));
  }

  /** Runs `orchestrator` to its end. */
  async run(args: readonly string[], options: { env?: NodeJS.ProcessEnv; input?: string } = {}): Promise<End & { stdout: string; stderr: string }> {
    const started = this.start(args, { input: "", ...options });
    return { ...(await started.ended), stdout: started.stdout, stderr: started.stderr };
  }

  /** Starts the scripted model by itself; gives opencode's configuration for it. */
  async startModel(): Promise<string> {
    const model = this.#keep(new Started(SCRIPTED_MODEL, ["0"], { env: this.env, cwd: this.path }));
    const [, url] = await model.says("stderr", /is at (http\S+)/);
    return JSON.stringify({
      model: "demo/scripted",
      small_model: "demo/scripted",
      enabled_providers: ["demo"],
      permission: { bash: "ask", edit: "ask" },
      provider: {
        demo: {
          npm: "@ai-sdk/openai-compatible",
          name: "Demo",
          options: { baseURL: url, apiKey: "none" },
          models: { scripted: { name: "Scripted demo model", tool_call: true, reasoning: true, limit: { context: 128_000, output: 32_000 } } },
        },
      },
    });
  }

  directory(name: string): string {
    const path = join(this.path, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Every process that was started here, or by one of those, and lives. */
  get living(): { pid: number; command: string }[] {
    return survivorsOf(this.#mark);
  }

  /** Waits until no process of this home is left. */
  async isQuiet(): Promise<void> {
    await expect.poll(() => this.living, { message: "processes that outlive the product" }).toEqual([]);
  }

  /** What the processes said, for the report of a failed test. */
  get talk(): string {
    return this.#started.map((started, index) => `--- process ${index} ${JSON.stringify(started.end)}\n${started.stdout}${started.stderr}`).join("\n");
  }

  /** Ends every process, sees that nothing of them is left, and takes the files away. */
  async leave(): Promise<void> {
    for (const started of this.#started.toReversed()) if (started.end === null) await started.stop();
    await this.isQuiet();
    rmSync(this.path, { recursive: true, force: true });
  }

  #keep(started: Started): Started {
    this.#started.push(started);
    return started;
  }
}
