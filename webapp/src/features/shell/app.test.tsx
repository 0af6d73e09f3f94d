import { act, cleanup, configure, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { TooltipProvider } from "@/components/ui/tooltip";
import { SignedIn } from "@/features/sign-in/signed-in";
import { fakeBackend, type Fake } from "@/lib/backend/fake/backend";
import { BackendProvider } from "@/lib/backend/react";
import { hrefOf, parseRoute, type Route } from "@/lib/route";

import { Shell } from "./shell";

// next/dynamic loads by way of Next's own runtime, which is not here.
vi.mock("next/dynamic", async () => {
  const { ChatPage } = await import("@/features/chat/chat-page");
  return { default: () => ChatPage };
});

configure({ asyncUtilTimeout: 15_000 });
const PATIENCE = { timeout: 15_000 };

let backend: Fake;
let show: () => void;

/** Stands in for Next's router: every move of the history renders the route that it leads to. */
function start(route: Route, hash = ""): void {
  window.history.replaceState(null, "", hrefOf(route) + hash);
  const app = () => {
    const current = parseRoute(window.location.pathname, new URLSearchParams(window.location.search));
    return (
      <BackendProvider backend={backend}>
        <TooltipProvider>
          <SignedIn route={current}>
            <Shell route={current} />
          </SignedIn>
        </TooltipProvider>
      </BackendProvider>
    );
  };
  const { rerender } = render(app());
  show = () => act(() => rerender(app()));
}

const user = userEvent.setup();
const follow = async (element: HTMLElement) => {
  await user.click(element);
  show();
};
const lastTurn = () => screen.getAllByTestId("turn").at(-1) ?? document.body;
const turnIs = (state: string) => vi.waitFor(() => expect(lastTurn().dataset.state).toBe(state), PATIENCE);

beforeEach(() => {
  backend = fakeBackend({ pace: 0.01 });
  window.localStorage.clear();
});
afterEach(cleanup);

describe("signing in", () => {
  it("by a link: its token leaves the address at once", async () => {
    backend = fakeBackend({ pace: 0, signedIn: false });
    start({ page: "sign-in" }, "#token=opl_good");
    expect(await screen.findByTestId("machine-list")).toBeTruthy();
    expect(window.location.href).not.toContain("opl_good");
  });
  it("by a link that has been used: says so and leaves the other way in", async () => {
    backend = fakeBackend({ pace: 0, signedIn: false });
    start({ page: "sign-in" }, "#token=used");
    expect((await screen.findByTestId("sign-in-error")).textContent).toContain("This link has been used");
    expect(window.location.href).not.toContain("used");
    expect(screen.getByTestId("sign-in-password")).toBeTruthy();
  });
  it("by a link that is opened where the page already is", async () => {
    backend = fakeBackend({ pace: 0, signedIn: false });
    start({ page: "sign-in" }, "#token=used");
    await screen.findByTestId("sign-in-error");
    window.history.pushState(null, "", "/sign-in#token=opl_good");
    act(() => void window.dispatchEvent(new HashChangeEvent("hashchange")));
    expect(await screen.findByTestId("machine-list")).toBeTruthy();
    expect(window.location.href).not.toContain("opl_good");
  });
  it("by a provider, where the backend has no passwords", async () => {
    backend = fakeBackend({
      pace: 0,
      signedIn: false,
      ways: { password: false, provider: "id.example.com", link: "until_it_expires" },
    });
    const assign = vi.spyOn(window.location, "assign").mockImplementation(() => undefined);
    start({ page: "home" });
    const button = await screen.findByTestId("sign-in-provider");
    expect(button.textContent).toBe("Sign in with id.example.com");
    expect(screen.queryByTestId("sign-in-password")).toBeNull();
    await user.click(button);
    expect(assign).toHaveBeenCalledWith("/sign-in?code=fake&state=fake");
    cleanup();
    start({ page: "sign-in" }, "?code=fake&state=fake");
    expect(await screen.findByTestId("machine-list")).toBeTruthy();
    expect(screen.queryByTestId("password-hint")).toBeNull();
    expect(window.location.href).not.toContain("code=");
  });
  it("ends with one clear page where page and backend do not understand each other", async () => {
    start({ page: "home" });
    await screen.findByTestId("machine-list");
    act(() => backend.connection.set({ kind: "upgrade", message: "The page is too old. Run it anew." }));
    expect(screen.getByTestId("upgrade").textContent).toContain("The page is too old. Run it anew.");
    expect(screen.queryByTestId("machine-list")).toBeNull();
  });
  it("by a password, after a wrong one", async () => {
    backend = fakeBackend({ pace: 0, signedIn: false });
    start({ page: "home" });
    await user.type(await screen.findByTestId("sign-in-password"), "wrong");
    await user.click(screen.getByTestId("sign-in-submit"));
    expect((await screen.findByTestId("sign-in-error")).textContent).toContain("The password is wrong");
    await user.clear(screen.getByTestId("sign-in-password"));
    await user.type(screen.getByTestId("sign-in-password"), "right one");
    await user.click(screen.getByTestId("sign-in-submit"));
    expect(await screen.findByTestId("machine-list")).toBeTruthy();
  });
});

describe("machines", () => {
  it("are honest about who is there", async () => {
    start({ page: "home" });
    const rows = await screen.findAllByTestId("machine-row");
    expect(rows.map((row) => within(row).getByTestId("presence").dataset.presence)).toEqual([
      "online",
      "unknown",
      "online",
      "never",
    ]);
    expect(rows[1]?.textContent).toMatch(/unknown since (.+, )?\d\d:\d\d/);
  });

  it("are added with a key that is shown once, and flip when they come", async () => {
    start({ page: "home" });
    await user.click(await screen.findByTestId("add-machine"));
    await user.type(screen.getByTestId("machine-name"), "gpu-box");
    await user.click(screen.getByTestId("machine-create"));
    const command = await screen.findByTestId("key-command");
    expect(command.textContent).toMatch(/\.\/start machine --backend http\S+ --key ork_\w+/);
    expect(screen.getByTestId("key-countdown").textContent).toMatch(/expires in (10:00|9:\d\d)/);
    expect(screen.getByTestId("key-status").dataset.status).toBe("waiting");
    const machine = backend.world.machines.at(-1);
    if (!machine) throw new Error("the machine was not added");
    act(() => {
      machine.state = "registered";
      machine.presence = { state: "online", epoch: 1, since: Date.now() };
      backend.world.changed();
    });
    expect(screen.getByTestId("key-status").dataset.status).toBe("online");
    await user.keyboard("{Escape}");
    await user.click(screen.getByTestId("add-machine"));
    expect(screen.queryByTestId("key-command")).toBeNull();
  });

  it("lead a newcomer from nothing to the first chat", async () => {
    backend = fakeBackend({ pace: 0, seeded: false });
    start({ page: "home" });
    expect(within(await screen.findByTestId("first-steps")).getByTestId("first-steps-add-machine")).toBeTruthy();
  });
});

describe("a chat", () => {
  const open = async () => {
    start({ page: "home" });
    await follow((await screen.findAllByTestId("sidebar-start-chat"))[0] ?? document.body);
    return screen.findByTestId("composer-input");
  };

  it("starts, streams an answer and verifies it", async () => {
    await user.type(await open(), "Fix the test{Enter}");
    show();
    await turnIs("completed");
    await vi.waitFor(
      () => expect(within(lastTurn()).getByTestId("turn-status").dataset.check).toBe("verified"),
      PATIENCE,
    );
    expect(within(lastTurn()).getByTestId("person-message").textContent).toBe("Fix the test");
    expect(
      within(lastTurn())
        .getAllByTestId("tool-card")
        .map((card) => card.dataset.state),
    ).toEqual(["completed", "completed", "completed"]);
    expect(lastTurn().textContent).toContain("slept for real time");
    expect(screen.getByTestId("status-line").textContent).toContain("complete");
  });

  it("keeps Shift+Enter for a new line and queues while it is busy", async () => {
    const input = await open();
    await user.type(input, "please ask{Enter}");
    await screen.findByTestId("ask-card");
    await user.type(input, "one{Shift>}{Enter}{/Shift}two{Enter}");
    const queued = await screen.findByTestId("queued-turn");
    expect(queued.textContent).toContain("one two");
    await user.click(within(queued).getByTestId("cancel-turn"));
    await vi.waitFor(() => expect(screen.queryByTestId("queue")).toBeNull(), PATIENCE);
  });

  it("asks, says what always would allow, and goes on when allowed", async () => {
    await user.type(await open(), "please ask{Enter}");
    const ask = await screen.findByTestId("ask-card");
    expect(within(ask).getByTestId("ask-patterns").textContent).toContain("cargo test -p transport reconnect");
    expect(within(ask).getByTestId("ask-always-scope").textContent).toContain("cargo test *");
    expect(screen.getByTestId("ask-marker")).toBeTruthy();
    expect(document.title).toMatch(/^\(2\) /);
    await user.click(within(ask).getByTestId("ask-allow-once"));
    await turnIs("completed");
    expect(screen.queryByTestId("ask-card")).toBeNull();
  });

  it("takes a denial with a reason", async () => {
    await user.type(await open(), "please ask{Enter}");
    await screen.findByTestId("ask-card");
    await user.click(screen.getByTestId("ask-deny"));
    await user.type(screen.getByTestId("ask-deny-reason"), "Use just instead");
    await user.click(screen.getByTestId("ask-deny-confirm"));
    await turnIs("completed");
    const asks = backend.world.chats.flatMap((chat) => chat.asks);
    expect(asks.at(-1)?.answer).toEqual({ kind: "reject", message: "Use just instead" });
  });

  it("answers questions: one of several, several of several", async () => {
    await user.type(await open(), "a question{Enter}");
    await screen.findByTestId("ask-card");
    expect(screen.getByTestId<HTMLButtonElement>("ask-answer").disabled).toBe(true);
    await user.click(screen.getByText("tokio's paused time"));
    await user.click(screen.getByText("agent"));
    await user.click(screen.getByText("transport"));
    await user.click(screen.getByTestId("ask-answer"));
    await turnIs("completed");
    expect(backend.world.chats.flatMap((chat) => chat.asks).at(-1)?.answer).toEqual({
      kind: "answers",
      answers: [["tokio's paused time"], ["transport", "agent"]],
    });
  });

  it("stops a turn that is under way", async () => {
    await user.type(await open(), "please ask{Enter}");
    await screen.findByTestId("ask-card");
    await user.click(screen.getByTestId("stop-turn"));
    await turnIs("cancelled");
  });

  it("says why a turn was interrupted, and continues it by one click", async () => {
    await user.type(await open(), "interrupt this{Enter}");
    await turnIs("interrupted");
    expect(within(lastTurn()).getByTestId("turn-reason").textContent).toContain("restarted");
    await user.click(within(lastTurn()).getByTestId("continue-turn"));
    await turnIs("completed");
  });

  it("waits for a machine that is away, and says so", async () => {
    start({ page: "home" });
    await follow(await screen.findByText("Nightly: dependency report", { selector: "[data-testid=sidebar-chat] *" }));
    await turnIs("queued");
    expect(lastTurn().textContent).toMatch(/build-box is unknown since (.+, )?\d\d:\d\d\./);
    await user.click(within(lastTurn()).getByTestId("cancel-turn"));
    await vi.waitFor(
      () => expect(screen.getAllByTestId("turn").map((turn) => turn.dataset.state)).toContain("cancelled"),
      PATIENCE,
    );
  });

  it("ends after a confirmation, and keeps its transcript", async () => {
    await user.type(await open(), "Fix the test{Enter}");
    await turnIs("completed");
    await user.click(screen.getByTestId("chat-menu"));
    await user.click(await screen.findByTestId("end-session"));
    await user.click(await screen.findByTestId("confirm"));
    expect(await screen.findByTestId("chat-ended")).toBeTruthy();
    expect(screen.queryByTestId("composer")).toBeNull();
    expect(screen.getAllByTestId("turn")).toHaveLength(1);
  });

  it("keeps a draft over a reload", async () => {
    await user.type(await open(), "half a thought");
    cleanup();
    start(parseRoute(window.location.pathname, new URLSearchParams(window.location.search)));
    expect((await screen.findByTestId<HTMLTextAreaElement>("composer-input")).value).toBe("half a thought");
  });
});

describe("a cut connection", () => {
  it("is told with the time as of which the page is true", async () => {
    start({ page: "home" });
    await screen.findByTestId("machine-list");
    act(() => backend.connection.set({ kind: "stale", since: Date.now() }));
    expect(screen.getByTestId("connection-banner").textContent).toMatch(/showing state as of \d\d:\d\d/);
    expect(screen.getAllByTestId("presence")[0]?.textContent).toMatch(/online\s*as of/);
    act(() => backend.connection.set({ kind: "live" }));
    expect(screen.queryByTestId("connection-banner")).toBeNull();
  });
  it("that is a sign-out leads to the way in", async () => {
    start({ page: "home" });
    await screen.findByTestId("machine-list");
    act(() => backend.connection.set({ kind: "signed_out" }));
    expect((await screen.findByTestId("sign-in-error")).textContent).toContain("signed out");
  });
});
