import { Chat, counted, watchGrowth } from "../../support/chat.ts";
import { Bridge } from "../../support/bridge.ts";
import { ConvexProduct, mintKey, OwnerKey } from "../../support/convex-product.ts";
import { expect, test as base } from "../../support/test.ts";

const test = base.extend<{ bridge: Bridge }>({
  bridge: async ({ product }, use) => {
    if (!(product instanceof ConvexProduct)) throw new Error("only on Convex");
    await use(product.bridge);
  },
});

const EMPTY = { cookies: [], origins: [] };

test("the deployment goes away and comes back in the middle of an answer: each word once", async ({ page, chat, product, bridge, picture }) => {
  const samples = await watchGrowth(page, 0);
  const turn = await chat.send("count 400 60");
  await turn.reaches(20);
  await bridge.restart(4_000);
  await expect(page.getByTestId("connection-banner")).toContainText("Reconnecting");
  await picture(page, "deployment-away");
  await expect(page.getByTestId("connection-banner")).toHaveCount(0);
  await bridge.cut();
  await turn.completes();
  expect(await turn.text()).toBe(counted(400));
  const seen = (await samples()).filter((text) => text !== "");
  expect(seen.length, "it was seen to grow").toBeGreaterThan(product.growthSeen);
  for (const text of seen) expect(counted(400).startsWith(text), `a beginning of the answer: ${text}`).toBe(true);
});

for (const when of ["before", "after"] as const) {
  test(`a message whose connection breaks ${when} its commit is sent once`, async ({ page, chat, bridge }) => {
    const before = (await bridge.rows("turns")).length;
    await bridge.drop(when, "worker/chat:sendMessage");
    const turn = await chat.send("say only once");
    await turn.completes();
    await expect(turn.texts).toHaveText("only once");
    await expect(page.getByTestId("turn")).toHaveCount(1);
    expect((await bridge.rows("turns")).length).toBe(before + 1);
  });
}

test("a machine that is added while the answer is lost is added once", async ({ page, bridge }) => {
  await page.goto("/");
  await bridge.drop("after", "machine:create");
  await page.getByTestId("add-machine").click();
  await page.getByTestId("machine-name").fill("only-one");
  await page.getByTestId("machine-create").click();
  await expect(page.getByTestId("key-command")).toBeVisible();
  const named = (await bridge.rows("machines")).filter(({ name }) => name === "only-one");
  expect(named).toHaveLength(1);
});

test("the pages of one browser share one connection: what all of them show is paid once", async ({ page, chat, bridge }) => {
  const turn = await chat.send("count 300 60");
  await turn.reaches(10);
  const others = [await page.context().newPage(), await page.context().newPage()];
  for (const other of others) {
    await other.goto(page.url());
    await new Chat(other).turn(0).reaches(10);
  }
  const [reads, writes] = [await bridge.calls("worker/chat:chunks"), await bridge.calls("worker/chat:writeChunk")];
  await turn.completes();
  for (const other of others) {
    await new Chat(other).turn(0).completes();
    expect(await new Chat(other).turn(0).text()).toBe(counted(300));
  }
  const read = (await bridge.calls("worker/chat:chunks")) - reads;
  const written = (await bridge.calls("worker/chat:writeChunk")) - writes;
  // Once for each append, and now and then to move the cursor; three connections would be three times as many.
  expect(read).toBeLessThan(written * 1.5 + 5);
});

test("a deployment that is older than the page gets one clear answer", async ({ browser, product, newHome, picture }) => {
  const home = newHome();
  const old = await Bridge.start(home, { auth: await mintKey(home), functions: "fixtures/functions" });
  const context = await browser.newContext({ storageState: EMPTY, baseURL: product.url, bypassCSP: true });
  await context.route("**/config.json", (route) => route.fulfill({ json: { backend: "convex", url: old.url } }));
  const page = await context.newPage();
  await page.goto(`/sign-in#token=${OwnerKey.in(home).token(600)}`);
  await expect(page.getByTestId("upgrade")).toContainText("The Convex deployment is too old for this page");
  await expect(page.getByTestId("upgrade")).toContainText("npx convex deploy");
  await picture(page, "deployment-too-old");
  await context.close();
});

test("a page that is older than the deployment gets one clear answer", async ({ browser, product, picture }) => {
  const context = await browser.newContext({ storageState: EMPTY, baseURL: product.url });
  await context.routeWebSocket(/\/api\/.*\/sync$/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => socket.send(String(message).replaceAll(/"wireVersion":[\d.]+,"wireVersionMin":[\d.]+/g, '"wireVersion":9,"wireVersionMin":8')));
  });
  const page = await context.newPage();
  await page.goto(product.link);
  await expect(page.getByTestId("upgrade")).toContainText("This page is too old for the Convex deployment");
  await expect(page.getByTestId("upgrade")).toContainText("git pull");
  await picture(page, "page-too-old");
  await context.close();
});
