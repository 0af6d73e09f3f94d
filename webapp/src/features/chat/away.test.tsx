import { act, cleanup, configure, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { TooltipProvider } from "@/components/ui/tooltip";
import { FleetProvider } from "@/features/shell/fleet";
import { SignedIn } from "@/features/sign-in/signed-in";
import { fakeBackend, type Fake } from "@/lib/backend/fake/backend";
import type { FakeChat } from "@/lib/backend/fake/world";
import { BackendProvider } from "@/lib/backend/react";
import { hrefOf, parseRoute } from "@/lib/route";

import { ChatPage } from "./chat-page";

configure({ asyncUtilTimeout: 15_000 });
const PATIENCE = { timeout: 15_000 };

let backend: Fake;
let show: () => void;
const user = userEvent.setup();

beforeEach(() => {
  backend = fakeBackend({ pace: 0.01 });
});
afterEach(cleanup);

function titled(title: string): FakeChat {
  const found = backend.world.chats.find(({ summary }) => summary.title === title);
  if (!found) throw new Error(`no chat ${title}`);
  return found;
}

/** Stands in for Next's router: every move of the history renders the route that it leads to. */
function open(chat: FakeChat): void {
  window.history.replaceState(null, "", hrefOf({ page: "chat", chatSessionId: chat.summary.id }));
  const app = () => {
    const route = parseRoute(window.location.pathname, new URLSearchParams(window.location.search));
    const id = route.page === "chat" ? route.chatSessionId : "";
    return (
      <BackendProvider backend={backend}>
        <TooltipProvider>
          <SignedIn route={route}>
            <FleetProvider>
              <ChatPage key={id} chatSessionId={id} />
            </FleetProvider>
          </SignedIn>
        </TooltipProvider>
      </BackendProvider>
    );
  };
  const { rerender } = render(app());
  show = () => act(() => rerender(app()));
}

describe("a chat that waits for a process", () => {
  it("says for what, and how many come first", async () => {
    open(titled("Check the links"));
    const sentence = "Waits for a free process: 2 chats come first (6 of 6 run).";
    await vi.waitFor(() => expect(screen.getByTestId("turn-status").textContent).toContain(sentence), PATIENCE);
    expect(screen.getByTestId("status-line").textContent).toContain(sentence);
    expect(screen.getByTestId("chat-state").textContent).toContain("waits for a process");
    act(() => {
      titled("Check the links").wait = null;
      backend.world.changed();
    });
    expect(screen.getByTestId("turn-status").textContent).not.toContain("Waits");
  });
});

describe("a chat whose machine is away", () => {
  const away = () => titled("Nightly: dependency report");

  it("can be stopped: its turn ends at once, with a reason, and what was streamed is kept", async () => {
    const chat = away();
    const first = chat.turns.find(({ summary }) => summary.state === "queued");
    if (!first) throw new Error("no queued turn");
    // It had been taken, and asked to stop, before the machine was lost.
    first.summary = { ...first.summary, state: "streaming", deliveredAt: Date.now(), cancelRequested: true };
    backend.world.write(first, { op: "append", part: "p1", kind: "text", delta: "Half an answer" });
    open(chat);
    const turn = () =>
      screen.getAllByTestId("turn").find((element) => element.dataset.turnId === first.summary.id) ?? document.body;
    await vi.waitFor(() => expect(turn().textContent).toContain("Half an answer"), PATIENCE);
    expect(turn().textContent).toContain("Was to stop when its machine was last seen");
    expect(turn().querySelector(".markdown-streaming"), "nothing grows to be seen").toBeNull();
    expect(screen.getByTestId<HTMLButtonElement>("stop-turn").disabled).toBe(false);
    await user.click(within(turn()).getByTestId("cancel-turn"));
    await vi.waitFor(() => expect(turn().dataset.state).toBe("cancelled"), PATIENCE);
    expect(turn().textContent).toContain("Stopped while the machine was away");
    expect(turn().textContent).toContain("Half an answer");
    cleanup();
    open(chat);
    await vi.waitFor(() => expect(turn().textContent).toContain("Half an answer"), PATIENCE);
    expect(turn().dataset.state).toBe("cancelled");
  });

  it("can have everything that waits cancelled, and be ended", async () => {
    const chat = away();
    backend.world.addTurn(chat, "And a third one.");
    open(chat);
    await user.click(await screen.findByTestId("cancel-queue"));
    await vi.waitFor(() => expect(screen.queryByTestId("queue")).toBeNull(), PATIENCE);
    expect(chat.turns.filter(({ summary }) => summary.state === "queued")).toHaveLength(1);
    await user.click(screen.getByTestId("away-end"));
    expect((await screen.findByTestId("confirm-dialog")).textContent).toContain("build-box is away");
    await user.click(screen.getByTestId("confirm"));
    expect(await screen.findByTestId("chat-ended")).toBeTruthy();
    expect(screen.queryByTestId("chat-away")).toBeNull();
  });

  it("is continued elsewhere: says what goes over, starts there, ends the old one if wanted", async () => {
    const chat = away();
    chat.summary.model = "anthropic/claude-sonnet-5";
    open(chat);
    await user.click(await screen.findByTestId("away-continue"));
    const dialog = await screen.findByTestId("continue-dialog");
    expect(within(dialog).getByTestId("handed-over").textContent).toMatch(
      /Goes over: the conversation as text.*Stays behind: all files.*ci\/nightly on build-box/,
    );
    const targets = within(dialog).getAllByTestId<HTMLInputElement>("continue-target");
    const nightly = backend.world.workers.find(({ name }) => name === "nightly");
    expect(targets.find(({ checked }) => checked)?.value).toBe(nightly?.id);
    expect(within(dialog).getAllByTestId("continue-machine").at(-1)?.textContent).toMatch(
      /build-box.*unknown since .*begins when it is back.*this chat's own/,
    );
    await user.click(within(dialog).getByTestId("continue-own-worktree"));
    await user.click(within(dialog).getByTestId("continue-end-old"));
    await user.click(within(dialog).getByTestId("continue-submit"));
    await vi.waitFor(() => expect(chat.summary.state).toBe("closed"), PATIENCE);
    show();
    const mark = await screen.findByTestId("continues");
    expect(mark.textContent).toBe("Continues Nightly: dependency report on build-box");
    const next = backend.world.chats.at(-1)?.summary;
    expect(next).toMatchObject({
      workerId: nightly?.id,
      continues: chat.summary.id,
      model: "anthropic/claude-sonnet-5",
      worktree: { state: "present" },
    });
    expect(screen.getByTestId("empty-chat").textContent).toContain("conversation so far goes to opencode");
    await user.click(within(mark).getByRole("link"));
    show();
    expect((await screen.findByTestId("continued-by")).textContent).toBe(
      "Continued in Nightly: dependency report on laptop",
    );
  });
});

describe("a chat whose machine is there", () => {
  it("can be continued too, by its menu and when it has failed or ended", async () => {
    open(titled("Migrate to the new config"));
    await user.click(await screen.findByTestId("failed-continue"));
    expect(await screen.findByTestId("continue-dialog")).toBeTruthy();
    await user.keyboard("{Escape}");
    expect(screen.queryByTestId("continue-dialog")).toBeNull();
    await user.click(screen.getByTestId("chat-menu"));
    await user.click(await screen.findByTestId("chat-continue"));
    expect(await screen.findByTestId("continue-dialog")).toBeTruthy();
  });
});
