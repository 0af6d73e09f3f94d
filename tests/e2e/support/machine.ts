import { join } from "node:path";

import type { Page } from "@playwright/test";

import { Chat } from "./chat.ts";
import type { Home } from "./home.ts";
import type { Started } from "./process.ts";
import { expect } from "./test.ts";

/** A machine beside the demo's own, with a root of its own. */
export class Joined {
  readonly home: Home;
  readonly root: string;
  readonly page: Page;
  /** Where its page is. */
  readonly url: string;
  process: Started;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(home: Home, page: Page, process: Started, env: NodeJS.ProcessEnv) {
    this.home = home;
    this.#env = env;
    this.root = join(home.path, "projects");
    this.page = page;
    this.url = page.url();
    this.process = process;
  }

  /** Adds a machine on the page and starts it; the page is then its page. `withModel`: its chats can answer. */
  static async start(page: Page, home: Home, name: string, { withModel = false } = {}): Promise<Joined> {
    home.directory("projects");
    const model = withModel ? { ORCHESTRATOR_OPENCODE_CONFIG: await home.startModel(), ORCHESTRATOR_OPENCODE_LEAN: "true" } : {};
    const env = { ORCHESTRATOR_GIT_PROTOCOLS: "https,ssh,http", ...model };
    await page.goto("/");
    await page.getByTestId("add-machine").click();
    await page.getByTestId("machine-name").fill(name);
    await page.getByTestId("machine-create").click();
    const command = await page.getByTestId("key-command").locator("[data-value]").innerText();
    const process = home.start([...command.split(" ").slice(1), "--root", "projects"], { env });
    await expect(page.getByTestId("key-status")).toHaveAttribute("data-status", "online");
    await page.getByTestId("key-open-machine").click();
    await expect(page.getByTestId("machine-title")).toHaveText(name);
    return new Joined(home, page, process, env);
  }

  async startAgain(): Promise<void> {
    this.startProcess();
    await this.isPresent("online");
  }

  /** Starts its process once more, whatever the page shows. */
  startProcess(): void {
    this.process = this.home.start(["machine"], { env: this.#env });
  }

  /** Adds a worker for a new folder of this name, and starts a chat session with it. */
  async startChat(folder: string): Promise<Chat> {
    this.home.directory(join("projects", folder));
    await this.page.goto(this.url);
    await this.page.getByTestId("no-workers").getByRole("button", { name: "Add worker" }).click();
    await this.page.getByTestId("worker-directory").fill(folder);
    await this.page.getByTestId("worker-create").click();
    await expect(this.page.getByTestId("worker-state")).toHaveAttribute("data-state", "ready");
    await this.page.getByTestId("worker-card").getByTestId("start-chat").click();
    await this.page.waitForURL(/\/chat\?id=/);
    await expect(this.page.getByTestId("empty-chat")).toBeVisible();
    return new Chat(this.page);
  }

  async isPresent(state: string): Promise<void> {
    await expect(this.page.getByRole("main").getByTestId("presence").first()).toHaveAttribute("data-presence", state);
  }

  /** Takes the machine off the page, so that the next test does not meet it. */
  async revoke(): Promise<void> {
    await this.page.goto(this.url);
    await this.page.getByTestId("machine-menu").click();
    await this.page.getByTestId("machine-revoke").click();
    await this.page.getByTestId("confirm").click();
    await expect(this.page.getByTestId("machine-title")).toBeHidden();
  }
}
