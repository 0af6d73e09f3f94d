import { readFileSync } from "node:fs";

import type { Home } from "./home.ts";
import type { Started } from "./process.ts";

/** Which backend the product runs on: a project of playwright.config.ts each. */
export type BackendKind = "hub" | "convex";

/** The product as its owner starts it: backend, page, this computer's machine and the scripted model. */
export interface Product {
  readonly backend: BackendKind;
  /** Where `orchestrator up --demo` runs. */
  readonly home: Home;
  readonly process: Started;
  /** The link that signs in. */
  readonly link: string;
  /** Where the page is. */
  readonly url: string;
  /** What a new machine's command line is given as `--backend`. */
  readonly machineAddress: string;
  /** How soon the page tells that a machine's process was killed: at once, or when its lease is over. */
  readonly lossShownMs: number;
  /** How often an answer that takes a few seconds is seen to grow, at least. */
  readonly growthSeen: number;
  /** Starts it once more where it was, so that open pages find it. */
  startAgain(): Promise<void>;
  /** Everything ends at once, as when the power fails; the backend keeps what it had. */
  killAll(): Promise<void>;
  /** The process of this computer's machine. */
  readonly agentPid: number;
  /** The real opencode processes that run for it. */
  readonly opencodes: number[];
  /** Another sign-in link, as a person gets one who has lost the first. */
  newLink(): Promise<string>;
}

/** What the product is on every backend: one `orchestrator up --demo`. */
export abstract class Up {
  readonly home: Home;
  process: Started;
  link = "";
  url = "";
  readonly #args: readonly string[];
  readonly #env: NodeJS.ProcessEnv;

  constructor(home: Home, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.home = home;
    this.#args = args;
    this.#env = env;
    this.process = this.#start("127.0.0.1:0");
  }

  async ready(): Promise<void> {
    const [, link = ""] = await this.process.says("stdout", /^(http\S+)$/m);
    this.link = link;
    this.url = new URL(link).origin;
    await this.process.says("stderr", /ready: this computer is online/);
  }

  async startAgain(): Promise<void> {
    this.process = this.#start(new URL(this.url).host);
    await this.ready();
  }

  async killAll(): Promise<void> {
    const agent = this.agentPid;
    process.kill(this.process.pid, "SIGKILL");
    process.kill(agent, "SIGKILL");
    await this.process.ended;
  }

  get agentPid(): number {
    const agents = this.home.living.filter(({ pid, command }) => command.includes(" machine --supervised") && parentOf(pid) === this.process.pid);
    if (agents.length !== 1 || agents[0] === undefined) throw new Error(`there is not one machine process, but ${agents.length}`);
    return agents[0].pid;
  }

  get opencodes(): number[] {
    return this.home.living.filter(({ command }) => / acp /.test(command) && !command.includes("supervise")).map(({ pid }) => pid);
  }

  async newLink(): Promise<string> {
    const { stdout, stderr, code } = await this.home.run(["link", "--demo"]);
    if (code !== 0 || !stdout.startsWith("http")) throw new Error(`no link: ${stdout}${stderr}`);
    return stdout.trim();
  }

  #start(listen: string): Started {
    return this.home.start(["up", "--demo", "--listen", listen, ...this.#args], { env: this.#env });
  }
}

function parentOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]);
}
