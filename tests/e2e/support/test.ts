import { mkdirSync } from "node:fs";
import { resolve } from "node:path";

import { expect, test as base, type Browser, type BrowserContext, type Page } from "@playwright/test";

import { Chat } from "./chat.ts";
import { ConvexProduct } from "./convex-product.ts";
import { Home } from "./home.ts";
import { HubProduct } from "./hub-product.ts";
import type { BackendKind, Product } from "./product.ts";

export { expect };

const PICTURES = resolve(import.meta.dirname, "../results/pictures");

interface Homes {
  /** A new computer; its processes are ended and counted when the test is over. */
  newHome: () => Home;
  /** A product of the test's own. */
  startProduct: () => Promise<Product>;
  /** Keeps a picture of a state that is worth looking at. */
  picture: (page: Page, name: string) => Promise<void>;
}

/** For tests that start the product themselves. */
export const bare = base.extend<Homes, { backend: BackendKind }>({
  backend: ["hub", { option: true, scope: "worker" }],
  startProduct: async ({ backend, newHome }, use) => {
    await use(() => startProduct(backend, newHome));
  },
  newHome: async ({}, use, info) => {
    const homes: Home[] = [];
    await use(() => {
      const home = new Home();
      homes.push(home);
      return home;
    });
    if (info.status !== info.expectedStatus) {
      for (const [index, home] of homes.entries()) await info.attach(`talk-${index}.txt`, { body: home.talk, contentType: "text/plain" });
    }
    for (const home of homes.toReversed()) await home.leave();
  },
  picture: async ({ backend }, use) => {
    const folder = resolve(PICTURES, backend);
    mkdirSync(folder, { recursive: true });
    await use(async (page, name) => {
      await page.screenshot({ path: resolve(folder, `${name}.png`), animations: "disabled" });
    });
  },
});

interface Signed {
  product: Product;
  state: Awaited<ReturnType<BrowserContext["storageState"]>>;
}

/** For tests that share one running product, whose owner is signed in. */
export const test = bare.extend<{ product: Product; chat: Chat; another: () => Promise<Page> }, { signed: Signed }>({
  signed: [
    async ({ browser, backend }, use) => {
      const homes: Home[] = [];
      try {
        const product = await startProduct(backend, () => {
          const home = new Home();
          homes.push(home);
          return home;
        });
        const context = await signedIn(browser, product.link);
        const state = await context.storageState();
        await context.close();
        await use({ product, state });
      } finally {
        for (const home of homes.toReversed()) await home.leave();
      }
    },
    { scope: "worker", timeout: 120_000 },
  ],
  product: async ({ signed }, use, info) => {
    const from = signed.product.home.talk.length;
    await use(signed.product);
    if (info.status !== info.expectedStatus) await info.attach("product.txt", { body: signed.product.home.talk.slice(from), contentType: "text/plain" });
  },
  baseURL: async ({ product }, use) => use(product.url),
  storageState: async ({ signed }, use) => use(signed.state),
  /** A chat session with the demo's worker; it ends with the test, and its opencode with it. */
  chat: async ({ page }, use) => {
    const chat = await Chat.start(page);
    await use(chat);
    if ((await page.getByTestId("chat-state").getAttribute("data-state")) !== "closed") await chat.end();
  },
  /** A page in a second browser of the same person. */
  another: async ({ browser, signed }, use) => {
    const contexts: BrowserContext[] = [];
    await use(async () => {
      const context = await browser.newContext({ storageState: signed.state, baseURL: signed.product.url });
      contexts.push(context);
      return context.newPage();
    });
    for (const context of contexts) await context.close();
  },
});

function startProduct(backend: BackendKind, newHome: () => Home): Promise<Product> {
  if (backend === "hub") return HubProduct.start(newHome());
  // Made first, so that it is left last.
  const bridgeHome = newHome();
  return ConvexProduct.start(newHome(), bridgeHome);
}

/** A new browser, signed in by a link. */
export async function signedIn(browser: Browser, link: string): Promise<BrowserContext> {
  const context = await browser.newContext({ baseURL: new URL(link).origin });
  const page = await context.newPage();
  await page.goto(link);
  await expect(page.getByTestId("machine-list")).toBeVisible();
  await page.close();
  return context;
}
