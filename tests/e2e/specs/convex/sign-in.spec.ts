import { Chat, counted } from "../../support/chat.ts";
import { ConvexProduct } from "../../support/convex-product.ts";
import { OidcProvider } from "../../support/oidc-provider.ts";
import { bare, expect } from "../../support/test.ts";

const test = bare.extend<{ product: ConvexProduct }>({
  product: async ({ newHome }, use) => {
    const bridgeHome = newHome();
    await use(await ConvexProduct.start(newHome(), bridgeHome));
  },
});

test("the link signs in until it expires, in any browser, and there are no passwords", async ({ product, browser, picture }) => {
  const context = await browser.newContext({ baseURL: product.url });
  const page = await context.newPage();
  await page.goto("/");
  await expect(page.getByTestId("sign-in-page")).toBeVisible();
  await expect(page.getByTestId("sign-in-password")).toHaveCount(0);
  await expect(page.getByTestId("sign-in-error")).toHaveCount(0);
  await picture(page, "sign-in");

  await page.goto(product.link);
  await expect(page.getByTestId("machine-list").getByTestId("presence")).toHaveAttribute("data-presence", "online");
  expect(page.url(), "the token leaves the address").not.toContain("token");
  await expect(page.getByTestId("password-hint")).toHaveCount(0);
  await page.reload();
  await expect(page.getByTestId("machine-list")).toBeVisible();

  await page.getByTestId("nav-settings").click();
  await expect(page.getByTestId("settings")).toContainText("As owner, in this browser, until");
  await expect(page.getByTestId("password-submit")).toHaveCount(0);
  await picture(page, "settings");
  await page.getByTestId("sign-out").click();
  await expect(page.getByTestId("sign-in-page")).toBeVisible();
  await page.goto("/");
  await expect(page.getByTestId("sign-in-page")).toBeVisible();
  await expect(page.getByTestId("sign-in-error")).toHaveCount(0);

  await page.goto(await product.newLink());
  await expect(page.getByTestId("machine-list")).toBeVisible();
  const other = await (await browser.newContext()).newPage();
  await other.goto(product.link);
  await expect(other.getByTestId("machine-list")).toBeVisible();
  await other.context().close();
  await context.close();
});

test("a link that is broken, expired, or not for this deployment is refused in words", async ({ product, browser, picture }) => {
  const context = await browser.newContext({ baseURL: product.url });
  const page = await context.newPage();
  const refused = async (link: string, why: string) => {
    // The second and the third are opened where the page already is: only the fragment is another one.
    await page.goto(link);
    await expect(page.getByTestId("sign-in-error")).toContainText(why);
    await expect(page.getByTestId("sign-in-error")).toContainText("orchestrator link");
  };
  await refused(`${product.url}/sign-in#token=abc`, "This sign-in link is not complete.");
  await refused(product.linkFor(-60), "Your sign-in expired on");
  await picture(page, "link-expired");
  const flipped = product.link.slice(0, -6) + [...product.link.slice(-6)].toReversed().join("");
  await refused(flipped, "does not accept this sign-in");
  await page.goto(product.link);
  await expect(page.getByTestId("machine-list")).toBeVisible();
  await context.close();
});

test("a sign-in that expires in the middle of an answer says so, and a new link goes on where it was", async ({ product, browser, picture }) => {
  const context = await browser.newContext({ baseURL: product.url });
  const page = await context.newPage();
  await page.goto(product.linkFor(60));
  await expect(page.getByTestId("machine-list")).toBeVisible();
  const chat = await Chat.start(page);
  const turn = await chat.send("count 1200 60");
  await turn.reaches(20);
  const address = page.url();
  const error = page.getByTestId("sign-in-error");
  await expect(error).toContainText("Your sign-in expired on", { timeout: 90_000 });
  await expect(error).toContainText("orchestrator link");
  await expect(page.getByTestId("transcript"), "nothing is left on screen for whoever comes next").toHaveCount(0);
  await picture(page, "sign-in-expired");

  await page.goto(await product.newLink());
  await expect(page.getByTestId("machine-list")).toBeVisible();
  await page.goto(address);
  await expect(turn.status).toHaveAttribute("data-state", "completed", { timeout: 120_000 });
  expect(await turn.text(), "the answer went on without the page").toBe(counted(1_200));
  await context.close();
});

test("people of an identity provider sign in by code and PKCE, stay signed in, and see only their own", async ({ browser, newHome, picture }) => {
  const provider = await OidcProvider.start();
  try {
    const bridgeHome = newHome();
    const product = await ConvexProduct.start(newHome(), bridgeHome, provider);
    const context = await browser.newContext({ baseURL: product.url });
    const page = await context.newPage();
    await page.goto("/");
    await expect(page.getByTestId("sign-in-provider")).toHaveText(`Sign in with ${new URL(provider.issuer).host}`);
    await picture(page, "sign-in-provider");
    await page.getByTestId("sign-in-provider").click();
    await page.getByRole("button", { name: "Be ann" }).click();
    await expect(page.getByTestId("add-machine")).toBeVisible();
    expect(page.url(), "the code leaves the address").not.toContain("code=");
    await page.getByTestId("add-machine").click();
    await page.getByTestId("machine-name").fill("anns-box");
    await page.getByTestId("machine-create").click();
    await expect(page.getByTestId("key-command")).toBeVisible();
    await page.goto("/settings");
    await expect(page.getByTestId("settings")).toContainText("As Ann, in this browser");
    expect(provider.refreshes, "no token is over yet").toBe(0);

    // Tokens live for a few seconds there; the sign-in does not end with them.
    await expect.poll(() => provider.refreshes, { timeout: 60_000 }).toBeGreaterThan(1);
    await expect(page.getByTestId("connection")).toHaveAttribute("data-connection", "live");
    await page.goto("/");
    await expect(page.getByTestId("sidebar-machine")).toHaveCount(1);

    await page.goto("/settings");
    await page.getByTestId("sign-out").click();
    await page.getByTestId("sign-in-provider").click();
    await page.getByRole("button", { name: "Be bob" }).click();
    await expect(page.getByTestId("add-machine")).toBeVisible();
    await expect(page.getByTestId("sidebar-machine"), "what is Ann's is not Bob's").toHaveCount(0);

    provider.revoked = true;
    await expect(page.getByTestId("sign-in-error")).toContainText("Your sign-in with", { timeout: 60_000 });
    await picture(page, "sign-in-provider-ended");
    await page.getByTestId("sign-in-provider").click();
    await page.getByRole("button", { name: "Nobody" }).click();
    await expect(page.getByTestId("sign-in-error")).toContainText("did not sign you in: the person said no");
    await context.close();
  } finally {
    await provider.stop();
  }
});
