import type { Browser, Page } from "@playwright/test";

import { Chat, counted } from "../support/chat.ts";
import type { Home } from "../support/home.ts";
import type { Started } from "../support/process.ts";
import type { BackendKind } from "../support/product.ts";
import { startRemote, type Remote } from "../support/remote.ts";
import { bare as test, expect } from "../support/test.ts";

/** Backend and machine as on two computers. */
class Apart {
  readonly remote: Remote;
  readonly machineHome: Home;
  machine!: Started;
  readonly #config: string;

  private constructor(remote: Remote, machineHome: Home, config: string) {
    this.remote = remote;
    this.machineHome = machineHome;
    this.#config = config;
  }

  static async start(backend: BackendKind, newHome: () => Home): Promise<Apart> {
    const remote = await startRemote(backend, newHome);
    const machineHome = newHome();
    return new Apart(remote, machineHome, await machineHome.startModel());
  }

  startMachine(args: readonly string[] = []): void {
    this.machine = this.machineHome.start(["machine", ...args], {
      env: { ORCHESTRATOR_OPENCODE_CONFIG: this.#config, ORCHESTRATOR_OPENCODE_LEAN: "true" },
    });
  }
}

async function begin(apart: Apart, browser: Browser): Promise<{ page: Page; chat: Chat }> {
  const { link, address } = apart.remote;
  apart.machineHome.directory("projects/app");
  const context = await browser.newContext({ baseURL: new URL(link).origin });
  const page = await context.newPage();
  await page.goto(link);
  await page.getByTestId("add-machine").click();
  await page.getByTestId("machine-name").fill("far-away");
  await page.getByTestId("machine-create").click();
  const key = await page.getByTestId("registration-key").locator("[data-value]").innerText();
  apart.startMachine(["--backend", address, "--key", key, "--root", "projects"]);
  await page.getByTestId("key-open-machine").click();
  await page.getByTestId("no-workers").getByRole("button", { name: "Add worker" }).click();
  await page.getByTestId("worker-directory").fill("app");
  await page.getByTestId("worker-create").click();
  await expect(page.getByTestId("worker-state")).toHaveAttribute("data-state", "ready");
  return { page, chat: await Chat.start(page, "app") };
}

test("the backend goes away and comes back while a turn runs: nothing is lost", async ({ backend, newHome, browser, picture }) => {
  const apart = await Apart.start(backend, newHome);
  const { page, chat } = await begin(apart, browser);
  const turn = await chat.send("count 300 60");
  await turn.reaches(30);

  await apart.remote.die();
  await expect(page.getByTestId("connection-banner")).toContainText("Reconnecting");
  await expect(page.getByRole("main").getByTestId("presence-dot").first()).toBeVisible();
  await picture(page, "backend-away");
  await chat.input.fill("say sent while the backend was away");
  await chat.input.press("Enter");

  await apart.remote.comeBack();
  await expect(page.getByTestId("connection-banner")).toHaveCount(0);
  // Convex's own client gets over a short break by itself, and the machine need not hear of it.
  if (backend === "hub") await apart.machine.says("stderr", /Reconnected to /);
  await turn.completes();
  expect(await turn.text()).toBe(counted(300));

  // The message that could not be sent is offered again; if the backend was back in time, it went by itself.
  const unsent = page.getByTestId("send-again");
  if (await unsent.isVisible()) await unsent.click();
  await chat.turn(1).completes();
  await expect(chat.turn(1).texts).toHaveText("sent while the backend was away");
  const after = await chat.asked("recall");
  await expect(after.texts).toContainText("count 300");
  await page.context().close();
});

test("the machine is away: messages wait, and it finds its way back", async ({ backend, newHome, browser, picture }) => {
  const apart = await Apart.start(backend, newHome);
  const { page, chat } = await begin(apart, browser);
  await chat.asked("say hello");

  const end = await apart.machine.stop("SIGINT");
  expect(end.code).toBe(0);
  await expect.poll(() => apart.machineHome.living.filter(({ command }) => command.includes("opencode")), { message: "its opencode ends with it" }).toEqual([]);
  const waiting = await chat.send("say it waited");
  await waiting.isIn("queued");
  await expect(waiting.status).toContainText("It is delivered when the machine is back");
  const dropped = await chat.queue("say this is cancelled");
  await dropped.getByTestId("cancel-turn").click();
  await expect(page.getByTestId("queued-turn")).toHaveCount(0);
  await picture(page, "machine-away");

  await apart.remote.die();
  apart.startMachine();
  await apart.machine.says("stderr", /lost: .* trying again/);
  await apart.remote.comeBack();
  await waiting.completes();
  await expect(waiting.texts).toHaveText("it waited");
  await chat.turn(2).isIn("cancelled");
  const recalled = await chat.asked("recall");
  await expect(recalled.texts, "the conversation goes on").toContainText("say hello");
  await expect(recalled.texts).not.toContainText("this is cancelled");
  await page.context().close();
});
