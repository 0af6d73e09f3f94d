import { expect, type Locator, type Page } from "@playwright/test";

/** A turn's states that last. */
type TurnState = "queued" | "delivered" | "streaming" | "completed" | "interrupted" | "failed" | "cancelled";

/** A chat session as a person uses it. */
export class Chat {
  readonly page: Page;
  readonly turns: Locator;
  readonly input: Locator;
  readonly asks: Locator;

  constructor(page: Page) {
    this.page = page;
    this.turns = page.getByTestId("turn");
    this.input = page.getByTestId("composer-input");
    this.asks = page.getByTestId("ask-card");
  }

  /** Starts a chat session with a worker, from the tree at the side. */
  static async start(page: Page, worker = "playground"): Promise<Chat> {
    await page.goto("/");
    await page.getByTestId("sidebar-worker").filter({ hasText: worker }).getByTestId("sidebar-start-chat").click();
    await page.waitForURL(/\/chat\?id=/);
    await expect(page.getByTestId("empty-chat")).toBeVisible();
    return new Chat(page);
  }

  get id(): string {
    return new URL(this.page.url()).searchParams.get("id") ?? "";
  }

  /** Sends a message; gives its turn, where it stands in the transcript. */
  async send(message: string): Promise<Turn> {
    const index = await this.turns.count();
    await this.input.fill(message);
    await this.input.press("Enter");
    await expect(this.turns).toHaveCount(index + 1);
    return this.turn(index);
  }

  /** Sends a message while another one is being answered: it queues. */
  async queue(message: string): Promise<Locator> {
    await this.input.fill(message);
    await this.input.press("Enter");
    const queued = this.page.getByTestId("queued-turn").filter({ hasText: message });
    await expect(queued).toBeVisible();
    return queued;
  }

  turn(index: number): Turn {
    return new Turn(this.turns.nth(index));
  }

  /** Sends a message and waits for its complete answer. */
  async asked(message: string): Promise<Turn> {
    const turn = await this.send(message);
    await turn.completes();
    return turn;
  }

  /** Stops what is being answered. */
  async stop(): Promise<void> {
    await this.front();
    await this.page.getByTestId("stop-turn").click();
  }

  /** Ends the session by its menu. */
  async end(): Promise<void> {
    await this.front();
    await this.page.getByTestId("chat-menu").click();
    await this.page.getByTestId("end-session").click();
    await this.page.getByTestId("confirm").click();
    await expect(this.page.getByTestId("chat-state")).toHaveAttribute("data-state", "closed");
  }

  /** Nobody clicks in a page that is behind another, and Chromium draws it about once a second. */
  private async front(): Promise<void> {
    await this.page.bringToFront();
  }
}

/** One message and all that answers it. */
export class Turn {
  readonly root: Locator;
  readonly status: Locator;
  readonly texts: Locator;
  readonly tools: Locator;

  constructor(root: Locator) {
    this.root = root;
    this.status = root.getByTestId("turn-status");
    this.texts = root.getByTestId("text-part");
    this.tools = root.getByTestId("tool-card");
  }

  async isIn(state: TurnState): Promise<void> {
    await expect(this.status).toHaveAttribute("data-state", state);
  }

  /** Waits for the complete message, whose text has the hash that its machine computed (whether or not it came before the last chunk). */
  async completes(): Promise<void> {
    await this.isIn("completed");
    await expect(this.status).toHaveAttribute("data-check", /verified|repaired/);
    await expect(this.status).toContainText("Complete");
  }

  /** Its text; nothing while there is none. */
  async text(): Promise<string> {
    return (await this.texts.allInnerTexts()).join("\n").trim();
  }

  /** Waits until the text has grown so far: to this word. */
  async reaches(word: string | number): Promise<void> {
    await expect(this.texts.last()).toContainText(new RegExp(`\\b${word}\\b`));
  }
}

/** What `count N` answers. */
export function counted(to: number): string {
  return Array.from({ length: to }, (_, index) => index + 1).join(" ");
}

/** Watches a turn's text from now on; what it was at each moment must be a beginning of what it becomes. */
export async function watchGrowth(page: Page, index: number): Promise<() => Promise<string[]>> {
  await page.evaluate((index) => {
    const samples: string[] = [];
    const sample = () => {
      const turn = document.querySelectorAll('[data-testid="turn"]')[index];
      const text = [...(turn?.querySelectorAll('[data-testid="text-part"]') ?? [])].map((part) => (part as HTMLElement).innerText.trim()).join("\n");
      if (text !== samples.at(-1)) samples.push(text);
    };
    const observer = new MutationObserver(sample);
    observer.observe(document.body, { subtree: true, childList: true, characterData: true });
    Object.assign(window, { e2eSamples: samples });
  }, index);
  return () => page.evaluate(() => (window as unknown as { e2eSamples: string[] }).e2eSamples);
}
