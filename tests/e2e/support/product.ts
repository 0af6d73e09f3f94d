import { readFileSync } from "node:fs";

import type { Home } from "./home.ts";
import type { Started } from "./process.ts";

/** `orchestrator up --demo`: hub, page, this computer's machine and the scripted model. */
export class Product {
  readonly home: Home;
  process: Started;
  /** The link that signs in, once. */
  link = "";
  /** Where the page is. */
  url = "";

  private constructor(home: Home, process: Started) {
    this.home = home;
    this.process = process;
  }

  static async start(home: Home): Promise<Product> {
    const product = new Product(home, home.start(upArgs("127.0.0.1:0")));
    await product.#ready();
    return product;
  }

  /** Starts it once more where it was, so that open pages find it. */
  async startAgain(): Promise<void> {
    this.process = this.home.start(upArgs(new URL(this.url).host));
    await this.#ready();
  }

  async #ready(): Promise<void> {
    const [, link = ""] = await this.process.says("stdout", /^(http\S+)$/m);
    this.link = link;
    this.url = new URL(link).origin;
    await this.process.says("stderr", /ready: this computer is online/);
  }

  /** The process of this computer's machine. */
  get agentPid(): number {
    const agents = this.home.living.filter(({ pid, command }) => command.includes(" machine --supervised") && parentOf(pid) === this.process.pid);
    if (agents.length !== 1 || agents[0] === undefined) throw new Error(`there is not one machine process, but ${agents.length}`);
    return agents[0].pid;
  }

  /** The real opencode processes that run for it. */
  get opencodes(): number[] {
    return this.home.living.filter(({ command }) => / acp /.test(command) && !command.includes("supervise")).map(({ pid }) => pid);
  }

  /** Another sign-in link, as a person gets one who has lost the first. */
  async newLink(): Promise<string> {
    const { stdout, stderr, code } = await this.home.run(["link", "--demo"]);
    if (code !== 0 || !stdout.startsWith("http")) throw new Error(`no link: ${stdout}${stderr}`);
    return stdout.trim();
  }
}

function upArgs(listen: string): string[] {
  return ["up", "--demo", "--listen", listen];
}

function parentOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]);
}
