import { act, cleanup, configure, fireEvent, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Toaster } from "@/components/ui/sonner";
import { TooltipProvider } from "@/components/ui/tooltip";
import { MachinePage } from "@/features/machine/machine-page";
import { FleetProvider } from "@/features/shell/fleet";
import { SignedIn } from "@/features/sign-in/signed-in";
import { BackendError } from "@/lib/backend/backend";
import { fakeBackend, type Fake } from "@/lib/backend/fake/backend";
import { at, file } from "@/lib/backend/fake/files";
import { BackendProvider } from "@/lib/backend/react";
import { hrefOf, parseRoute, type Route } from "@/lib/route";

configure({ asyncUtilTimeout: 15_000 });
const PATIENCE = { timeout: 15_000 };

let backend: Fake;
let machineId: string;
let show: () => void;
const user = userEvent.setup();

beforeEach(() => {
  backend = fakeBackend({ pace: 0.02 });
  machineId = backend.world.machines[0]?.id ?? "";
});
afterEach(cleanup);

/** Stands in for Next's router: every move of the history renders the route that it leads to. */
function start(route: Route): void {
  window.history.replaceState(null, "", hrefOf(route));
  const app = () => {
    const current = parseRoute(window.location.pathname, new URLSearchParams(window.location.search));
    return (
      <BackendProvider backend={backend}>
        <TooltipProvider>
          <SignedIn route={current}>
            <FleetProvider>{current.page === "machine" && <MachinePage route={current} />}</FleetProvider>
          </SignedIn>
          <Toaster />
        </TooltipProvider>
      </BackendProvider>
    );
  };
  const { rerender } = render(app());
  show = () => act(() => rerender(app()));
}
const files = (directory = "") => start({ page: "machine", machineId, tab: "files", directory });
const row = (path: string) =>
  vi.waitFor(() => {
    const found = screen.getAllByTestId("tree-row").find((element) => element.dataset.path === path);
    if (!found) throw new Error(`no line for ${path}`);
    return found;
  }, PATIENCE);
const paths = () => screen.queryAllByTestId("tree-row").map((element) => element.dataset.path);
const isGone = (path: string) => vi.waitFor(() => expect(paths()).not.toContain(path), PATIENCE);
/** The line that the tree names as its active one, for a screen reader too. */
const active = () => {
  const id = screen.getByTestId("tree").getAttribute("aria-activedescendant");
  return id === null ? undefined : document.getElementById(id)?.dataset.path;
};
const press = (keys: string) => user.keyboard(keys);
const awayMachine = () => {
  const machine = backend.world.machines[0];
  if (!machine) throw new Error("no machine");
  machine.presence = { state: "offline", since: Date.now() };
  backend.world.changed();
  return machine;
};
/** The clone that was asked for; the browser asks for listings beside it. */
const clone = () => backend.directories.commands.find(({ command }) => command.operation.kind === "clone");

describe("the tree", () => {
  it("is walked by the keyboard, and says where one is", async () => {
    files();
    const repos = await row("repos");
    expect(repos.getAttribute("aria-expanded")).toBe("false");
    act(() => screen.getByTestId("tree").focus());
    expect(active()).toBe("logs");
    await press("{ArrowDown}{ArrowRight}");
    const api = await row("repos/api-server");
    expect([
      api.getAttribute("aria-level"),
      api.getAttribute("aria-posinset"),
      api.getAttribute("aria-setsize"),
    ]).toEqual(["2", "1", "3"]);
    await press("{ArrowRight}");
    expect(active()).toBe("repos/api-server");
    await press("{ArrowLeft}");
    expect(active()).toBe("repos");
    await press("{ArrowLeft}");
    await isGone("repos/api-server");
    await press("{End}");
    expect(active()).toMatch(/^odd/);
    await press("{Home}no");
    expect(active()).toBe("notes.txt");
    await press("{Home}no");
    expect(active()).toBe("notes.txt");
  });

  it("is entered by Enter and left by Backspace; the open folder is in the address", async () => {
    files();
    await row("repos");
    act(() => screen.getByTestId("tree").focus());
    await press("{ArrowDown}{Enter}");
    expect(window.location.search).toContain("dir=repos");
    show();
    await row("repos/docs");
    expect(within(screen.getByTestId("breadcrumb")).getByText("repos")).toBeTruthy();
    act(() => screen.getByTestId("tree").focus());
    await press("{Backspace}");
    show();
    await row("notes.txt");
  });

  it("shows repositories with branch and state, and who lives there", async () => {
    files("repos");
    const api = await row("repos/api-server");
    await vi.waitFor(() => expect(within(api).getByTestId("git-state").dataset.state).toBe("dirty"), PATIENCE);
    expect(api.textContent).toMatch(/main.*3 changed/);
    expect(within(await row("repos/docs")).getByTestId("git-state").dataset.state).toBe("clean");
    expect(within(api).getByTestId("row-worker").textContent).toBe("api-server");
  });

  it("hides what is hidden until it is asked for, and filters on the machine", async () => {
    files("repos/api-server");
    await row("repos/api-server/src");
    expect(paths()).not.toContain("repos/api-server/.env");
    await user.click(screen.getByTestId("toggle-hidden"));
    await row("repos/api-server/.env");
    await user.type(screen.getByTestId("filter"), "toml");
    await vi.waitFor(() => expect(paths()).toEqual(["repos/api-server/Cargo.toml"]), PATIENCE);
    expect(screen.getByTestId("browser-count").textContent).toBe("1 match");
    await user.clear(screen.getByTestId("filter"));
    await row("repos/api-server/.env");
  });

  it("draws a few lines of a huge folder, and fetches on at its end", async () => {
    files("logs");
    await row("logs/000000.log");
    expect(screen.getByTestId("browser-count").textContent).toBe("500 of 200,000 entries shown");
    expect(paths().length).toBeLessThan(60);
    act(() => screen.getByTestId("tree").focus());
    await press("{End}{Enter}");
    await vi.waitFor(
      () => expect(screen.getByTestId("browser-count").textContent).toBe("1,000 of 200,000 entries shown"),
      PATIENCE,
    );
    expect(paths().length).toBeLessThan(60);
  });

  it("says what is wrong with a folder, and tries again", async () => {
    files("gone");
    expect((await screen.findByTestId("tree-failed")).textContent).toContain("Nothing is at “gone”");
    const root = backend.directories.root(machineId);
    root.children.set("gone", at(root, "repos") ?? file(""));
    await user.click(screen.getByTestId("retry-listing"));
    await row("gone/docs");
  });
});

describe("changes", () => {
  it("are a new folder, another name, and the trash with a way back", async () => {
    files();
    await row("repos");
    await user.click(screen.getByTestId("browser-new-folder"));
    await user.type(screen.getByTestId("entry-name"), "a\\b{Enter}");
    const made = await row("a\\\\b");
    expect(made.textContent).toContain("a\\b");
    expect(screen.queryByTestId("new-folder-dialog")).toBeNull();
    await user.click(made);
    await press("{F2}");
    const name = await screen.findByTestId<HTMLInputElement>("entry-name");
    expect(name.value).toBe("a\\b");
    await user.clear(name);
    await user.type(name, "notes.txt{Enter}");
    expect((await within(screen.getByTestId("rename-entry-dialog")).findByTestId("error")).textContent).toContain(
      "is there already",
    );
    await user.clear(name);
    await user.type(name, "kept{Enter}");
    await user.click(await row("kept"));
    await press("{Delete}");
    await isGone("kept");
    await user.click(await screen.findByText("Undo"));
    await row("kept");
  });

  it("warn where workers would lose their folder", async () => {
    files("repos");
    await user.click(await row("repos/api-server"));
    await press("{Delete}");
    expect((await screen.findByTestId("workers-warning")).textContent).toMatch(
      /The worker api-server lives in it, with 4/,
    );
    await user.click(screen.getByText("Cancel"));
    await user.click(await row("repos/api-server"));
    await press("{Delete}");
    await user.click(await screen.findByTestId("trash-confirm"));
    await isGone("repos/api-server");
  });
});

describe("a file", () => {
  it("is shown as the text it is, whatever is in it", async () => {
    files("repos/api-server");
    await user.click(within(await row("repos/api-server/README.md")).getByRole("button", { name: "README.md" }));
    expect((await screen.findByTestId("file-text")).textContent).toContain("<script>alert(1)</script>");
    expect(document.querySelector("[data-testid=file-text] script")).toBeNull();
  });
  it("that is no text, or goes on, says so", async () => {
    files();
    fireEvent.contextMenu(await row("dump.sql"));
    await user.click(await screen.findByTestId("row-view"));
    expect((await screen.findByTestId("file-truncated")).textContent).toContain("of 7.0 MiB are shown");
    await press("{Escape}");
    await user.click(within(await row("odd\\xff name \u202egnp.exe")).getByRole("button", { name: /^odd/ }));
    expect(await screen.findByTestId("file-binary")).toBeTruthy();
  });
});

describe("a clone", () => {
  const ask = async (url: string) => {
    files();
    await row("repos");
    await user.click(screen.getByTestId("browser-clone"));
    await user.type(screen.getByTestId("clone-url"), url);
    return user.click(screen.getByTestId("clone-submit"));
  };

  it("goes on when its dialog is closed, and leads to a worker", async () => {
    await ask("https://github.com/owner/thing.git");
    await screen.findByTestId("cloning");
    await user.click(screen.getByTestId("clone-close"));
    const line = await screen.findByTestId("open-command");
    expect(within(line).getByRole("progressbar")).toBeTruthy();
    await vi.waitFor(() => expect(screen.getByTestId("open-command").dataset.state).toBe("succeeded"), PATIENCE);
    await row("thing");
    await user.click(screen.getByTestId("open-command-add-worker"));
    expect((await screen.findByTestId<HTMLInputElement>("worker-directory")).value).toBe("thing");
    expect(screen.getByTestId("enforcement").textContent).toContain("Landlock");
    await user.click(screen.getByTestId("sandbox-workspace"));
    await user.click(screen.getByTestId("worker-create"));
    await vi.waitFor(() => expect(screen.queryByTestId("open-commands")).toBeNull(), PATIENCE);
    expect(backend.world.workers.at(-1)).toMatchObject({ directory: "thing", settings: { sandbox: "workspace" } });
  });

  it("is stopped", async () => {
    await ask("https://github.com/owner/thing.git");
    await user.click(await screen.findByTestId("clone-cancel"));
    expect((await screen.findByTestId("error")).textContent).toContain("cancelled");
    expect(at(backend.directories.root(machineId), "thing")).toBeUndefined();
  });

  it("whose machine goes after it was asked to stop can be stopped all the same", async () => {
    await ask("https://github.com/owner/thing.git");
    const dialog = await screen.findByTestId("cloning");
    await vi.waitFor(() => expect(within(dialog).getByRole("progressbar")).toBeTruthy(), PATIENCE);
    const machine = awayMachine();
    await vi.waitFor(() => expect(within(dialog).queryByRole("progressbar")).toBeNull(), PATIENCE);
    const lastSeen = () => within(dialog).getByTestId("command-last-seen").textContent;
    expect(lastSeen()).toMatch(/laptop is offline since .*working on this when it was last seen/);
    act(() => {
      const asked = clone();
      if (asked) asked.command = { ...asked.command, cancelRequested: true };
      backend.world.changed();
    });
    expect(lastSeen()).toContain("asked to stop this before, and may not have heard");
    const stop = () => within(dialog).getByTestId<HTMLButtonElement>("clone-cancel");
    expect(stop()).toMatchObject({ disabled: false, textContent: "Stop cloning" });
    act(() => {
      machine.presence = { state: "draining", since: Date.now() };
      backend.world.changed();
    });
    expect(stop()).toMatchObject({ disabled: true, textContent: "Stopping…" });
  });

  it("that fails says why, and keeps what was typed", async () => {
    await ask("https://github.com/owner/private.git");
    const dialog = screen.getByTestId("clone-dialog");
    expect((await within(dialog).findByTestId("error")).textContent).toContain("Set up an ssh key");
    expect(screen.getByTestId<HTMLInputElement>("clone-url").value).toContain("private.git");
  });

  it("with a password in its address is refused", async () => {
    await ask("https://me:secret@github.com/owner/thing.git");
    expect((await screen.findByTestId("error")).textContent).toContain("password");
  });
});

describe("a machine that is away", () => {
  it("shows what was known, and what waits can be cancelled", async () => {
    files();
    await row("repos");
    const machine = awayMachine();
    expect((await screen.findByTestId("browser-away")).textContent).toMatch(/as of \d\d:\d\d.*waits until it is back/);
    await row("notes.txt");
    await user.click(await row("repos"));
    expect((await screen.findByTestId("tree-loading")).textContent).toContain("The request waits for laptop");
    await user.click(await row("notes.txt"));
    await press("{Delete}");
    const line = await screen.findByTestId("open-command");
    expect(line.textContent).toContain("Move notes.txt to the trash");
    await user.click(within(line).getByTestId("cancel-command"));
    await vi.waitFor(() => expect(screen.queryByTestId("open-commands")).toBeNull(), PATIENCE);
    act(() => {
      machine.presence = { state: "online", epoch: 9, since: Date.now() };
      backend.world.changed();
    });
    await row("repos/docs");
    await row("notes.txt");
  });
});

describe("a command whose machine goes", () => {
  /** A clone that the machine has taken, and that goes no further by itself. */
  const running = async () => {
    files();
    await row("repos");
    const machine = awayMachine();
    const operation = {
      kind: "clone",
      url: "https://github.com/owner/thing.git",
      branch: null,
      path: "thing",
    } as const;
    await backend.call("machine.command.request", { machineId, operation });
    const taken = clone();
    if (!taken) throw new Error("no clone");
    act(() => {
      taken.command = { ...taken.command, state: "running", startedAt: Date.now() };
      machine.presence = { state: "online", epoch: 9, since: Date.now() };
      backend.world.changed();
    });
    await vi.waitFor(() => expect(screen.getByTestId("open-command").dataset.state).toBe("running"), PATIENCE);
  };
  const line = () => screen.getByTestId("open-command");
  const stop = () => within(line()).getByTestId<HTMLButtonElement>("cancel-command");

  it("can be stopped once more, which ends it, and says that it may be half-done", async () => {
    await running();
    await user.click(stop());
    await vi.waitFor(() => expect(stop()).toMatchObject({ disabled: true, textContent: "Stopping…" }), PATIENCE);
    await vi.waitFor(() => expect(clone()?.command.cancelRequested).toBe(true), PATIENCE);
    awayMachine();
    const lastSeen = () => within(line()).getByTestId("command-last-seen").textContent;
    await vi.waitFor(() => expect(lastSeen()).toContain("may not have heard"), PATIENCE);
    expect(within(line()).queryByRole("progressbar")).toBeNull();
    expect(stop()).toMatchObject({ disabled: false, textContent: "Stop" });
    await user.click(stop());
    await vi.waitFor(() => expect(line().dataset.state).toBe("cancelled"), PATIENCE);
    expect(line().textContent).toContain("may be finished or half-done there");
    await user.click(within(line()).getByRole("button", { name: /^Dismiss/ }));
    expect(screen.queryByTestId("open-commands")).toBeNull();
  });

  it("can be stopped again after an error", async () => {
    await running();
    const { call } = backend;
    const keys: (string | undefined)[] = [];
    vi.spyOn(backend, "call").mockImplementation((name, args, options) => {
      if (name !== "machine.command.cancel") return call(name, args, options);
      keys.push(options?.key);
      return Promise.reject(new BackendError("network", "The backend can't be reached."));
    });
    await user.click(stop());
    await screen.findByText("The backend can't be reached.");
    expect(stop()).toMatchObject({ disabled: false, textContent: "Stop" });
    await vi.waitFor(() => expect(stop().disabled).toBe(false), PATIENCE);
    await user.click(stop());
    awayMachine();
    await vi.waitFor(() => expect(line().textContent).toContain("last seen"), PATIENCE);
    await user.click(stop());
    expect(keys).toHaveLength(3);
    expect(keys[1], "the same wish").toBe(keys[0]);
    expect(keys[2], "another one, whose answer is not that of the first").not.toBe(keys[0]);
  });
});

describe("the activity", () => {
  it("tells what was done, by whom and how it ended; more with what only reads; all of it as a file", async () => {
    const { call } = backend;
    for (let index = 0; index < 60; index += 1)
      await call("machine.command.request", { machineId, operation: { kind: "make_directory", path: `d${index}` } });
    await call("machine.command.request", {
      machineId,
      operation: { kind: "list", directory: "", hidden: false },
    });
    await call("machine.command.request", { machineId, operation: { kind: "trash", path: "nothing" } });
    start({ page: "machine", machineId, tab: "activity" });
    await vi.waitFor(() => expect(screen.getAllByTestId("activity-row")).toHaveLength(50), PATIENCE);
    const [latest] = screen.getAllByTestId("activity-row");
    expect(latest?.textContent).toMatch(/failedMove nothing to the trash.*Nothing is at “nothing”.*you/);
    await user.click(screen.getByTestId("activity-earlier"));
    await vi.waitFor(() => expect(screen.getAllByTestId("activity-row")).toHaveLength(61), PATIENCE);
    expect(screen.queryByTestId("activity-earlier")).toBeNull();
    await user.click(screen.getByTestId("activity-reads"));
    await screen.findByText("List the root");

    const saved: Blob[] = [];
    vi.spyOn(URL, "createObjectURL").mockImplementation((blob) => {
      saved.push(blob as Blob);
      return "blob:x";
    });
    await user.click(screen.getByTestId("activity-export"));
    await vi.waitFor(() => expect(saved).toHaveLength(1), PATIENCE);
    const lines = (await saved[0]?.text())?.trim().split("\n") ?? [];
    expect(lines).toHaveLength(62);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ operation: { kind: "trash" }, state: "failed" });
  });
});
