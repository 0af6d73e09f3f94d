import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { ANN, CONFIG, refusal, Scripted, START, STORE_KEY, tick } from "./scripted";
import { personId } from "./token";

const page = new Scripted();
beforeEach(() => page.begin());
afterEach(() => page.end());

describe("signing in", () => {
  it("opens no connection for nobody", async () => {
    page.open();
    expect(page.clients.clients).toHaveLength(0);
    expect(page.backend.connection.get()).toEqual({ kind: "signed_out" });
    expect(await page.backend.auth.me()).toBeNull();
  });

  it("by a link: the token is kept, and the deployment has the last word", async () => {
    page.open();
    const signingIn = page.backend.auth.signInWithToken(ANN);
    const client = page.client;
    expect(await client.auth?.fetchToken(false)).toBe(ANN);
    expect(page.backend.connection.get().kind).toBe("connecting");
    client.accept();
    await signingIn;
    expect(page.backend.connection.get()).toEqual({ kind: "live" });
    expect(await page.backend.auth.me()).toEqual({
      person: { id: personId("https://orchestrator.local/k1|ann"), name: "Änn" },
      hasPassword: false,
      endsAt: START + 3_600_000,
    });
    expect(JSON.parse(window.localStorage.getItem(STORE_KEY) ?? "")).toEqual({ url: CONFIG.url, token: ANN });
  });

  it("a broken link is refused without asking", async () => {
    page.open();
    await expect(page.backend.auth.signInWithToken("half-a-token")).rejects.toThrow(/not complete.*orchestrator link/);
    expect(page.clients.clients).toHaveLength(0);
  });

  it("a token that the deployment does not take is told as such", async () => {
    page.open();
    const signingIn = page.backend.auth.signInWithToken(ANN);
    page.client.refuse();
    await expect(signingIn).rejects.toMatchObject({
      code: "unauthenticated",
      message: expect.stringMatching(/does not accept this sign-in.*orchestrator link/) as string,
    });
    expect(page.client.closed).toBe(true);
  });

  it("a token of another deployment is never shown to this one", () => {
    window.localStorage.setItem(STORE_KEY, JSON.stringify({ url: "https://other.convex.cloud", token: ANN }));
    page.open();
    expect(page.clients.clients).toHaveLength(0);
  });

  it("outlives a reload, and ends by signing out", async () => {
    const client = page.connected();
    expect((await page.backend.auth.me())?.person.name).toBe("Änn");
    await page.backend.auth.signOut();
    expect(client.closed).toBe(true);
    expect(window.localStorage.getItem(STORE_KEY)).toBeNull();
    expect(page.backend.connection.get()).toEqual({ kind: "signed_out" });
    expect(await page.backend.auth.me()).toBeNull();
  });

  it("that has expired is shown to the deployment once more, and its no says what to run", async () => {
    const client = page.connected();
    expect(client.shown).toBe(1);
    await vi.advanceTimersByTimeAsync(3_601_000);
    expect(client.shown).toBe(2);
    client.auth?.onChange(false);
    const state = page.backend.connection.get();
    expect(state).toMatchObject({
      kind: "signed_out",
      why: expect.stringMatching(/^Your sign-in expired on .*orchestrator link/) as string,
    });
    await expect(page.backend.call("machine.list", {})).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it("a clock that is fast signs nobody out: the deployment's decides", async () => {
    const client = page.connected();
    await vi.advanceTimersByTimeAsync(3_601_000);
    client.auth?.onChange(true);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(client.shown).toBe(2);
    expect(page.backend.connection.get().kind).toBe("live");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.shown).toBe(3);
  });

  it("a function that finds nobody signed in ends the sign-in", async () => {
    const client = page.connected();
    const list = vi.fn();
    page.backend.watch("machine.list", {}, list);
    client.give("machine:list", refusal("unauthenticated"));
    await tick();
    expect(page.backend.connection.get().kind).toBe("signed_out");
    expect(client.closed).toBe(true);
  });

  it("and out in another page holds here", () => {
    const client = page.connected();
    window.localStorage.removeItem(STORE_KEY);
    window.dispatchEvent(new StorageEvent("storage", { key: STORE_KEY }));
    expect(page.backend.connection.get()).toEqual({ kind: "signed_out" });
    expect(client.closed).toBe(true);
    window.localStorage.setItem(STORE_KEY, JSON.stringify({ url: CONFIG.url, token: ANN }));
    window.dispatchEvent(new StorageEvent("storage", { key: STORE_KEY }));
    page.client.accept();
    expect(page.backend.connection.get()).toEqual({ kind: "live" });
  });

  it("with a backend that is away is no sign-out", async () => {
    page.openSignedIn();
    const me = page.backend.auth.me();
    page.client.fail();
    page.client.fail();
    await expect(me).rejects.toMatchObject({ code: "network" });
  });
});
