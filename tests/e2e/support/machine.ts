import { join } from "node:path";

import type { Page } from "@playwright/test";

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

  private constructor(home: Home, page: Page, process: Started) {
    this.home = home;
    this.root = join(home.path, "projects");
    this.page = page;
    this.url = page.url();
    this.process = process;
  }

  /** Adds a machine on the page and starts it; the page is then its page. */
  static async start(page: Page, home: Home, name: string): Promise<Joined> {
    home.directory("projects");
    await page.goto("/");
    await page.getByTestId("add-machine").click();
    await page.getByTestId("machine-name").fill(name);
    await page.getByTestId("machine-create").click();
    const command = await page.getByTestId("key-command").locator("[data-value]").innerText();
    const process = home.start([...command.split(" ").slice(1), "--root", "projects"], { env: ENV });
    await expect(page.getByTestId("key-status")).toHaveAttribute("data-status", "online");
    await page.getByTestId("key-open-machine").click();
    await expect(page.getByTestId("machine-title")).toHaveText(name);
    return new Joined(home, page, process);
  }

  async startAgain(): Promise<void> {
    this.process = this.home.start(["machine"], { env: ENV });
    await this.isPresent("online");
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

const ENV = { ORCHESTRATOR_GIT_PROTOCOLS: "https,ssh,http" };
