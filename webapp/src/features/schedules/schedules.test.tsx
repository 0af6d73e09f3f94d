import { act, cleanup, configure, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Toaster } from "@/components/ui/sonner";
import { TooltipProvider } from "@/components/ui/tooltip";
import { Shell } from "@/features/shell/shell";
import { SignedIn } from "@/features/sign-in/signed-in";
import { fakeBackend, type Fake } from "@/lib/backend/fake/backend";
import { BackendProvider } from "@/lib/backend/react";
import { hrefOf, parseRoute, type Route } from "@/lib/route";

// next/dynamic loads by way of Next's own runtime, which is not here.
vi.mock("next/dynamic", async () => {
  const { ChatPage } = await import("@/features/chat/chat-page");
  return { default: () => ChatPage };
});

configure({ asyncUtilTimeout: 15_000 });
const PATIENCE = { timeout: 15_000 };
const user = userEvent.setup();

let backend: Fake;
let show: () => void;

/** Stands in for Next's router: every move of the history renders the route that it leads to. */
function start(route: Route): void {
  window.history.replaceState(null, "", hrefOf(route));
  const app = () => {
    const current = parseRoute(window.location.pathname, new URLSearchParams(window.location.search));
    return (
      <BackendProvider backend={backend}>
        <TooltipProvider>
          <SignedIn route={current}>
            <Shell route={current} />
          </SignedIn>
          <Toaster />
        </TooltipProvider>
      </BackendProvider>
    );
  };
  const { rerender } = render(app());
  show = () => act(() => rerender(app()));
}
const follow = async (element: HTMLElement) => {
  await user.click(element);
  show();
};
const type = async (id: string, text: string) => {
  const field = await screen.findByTestId(id);
  await user.clear(field);
  // Braces are keys to user-event.
  await user.type(field, text.replace(/[{[]/g, "$&$&"));
};
const rowNamed = async (name: string) => {
  const link = await screen.findByText(name, { selector: "[data-testid=schedule-link]" });
  return link.closest<HTMLElement>("[data-testid=schedule-row]") ?? document.body;
};
const scheduleNamed = (name: string) => {
  const row = backend.schedules.rows.find(({ summary }) => summary.name === name);
  if (!row) throw new Error(`no schedule ${name}`);
  return row;
};
const detail = (name: string) => start({ page: "schedule", scheduleId: scheduleNamed(name).summary.id });
const runStates = () => screen.getAllByTestId("run-row").map((row) => row.dataset.state);
const latestRunIs = (state: string) => vi.waitFor(() => expect(runStates()[0]).toBe(state), PATIENCE);

beforeEach(() => {
  backend = fakeBackend({ pace: 0.01 });
  window.localStorage.clear();
});
afterEach(() => {
  cleanup();
  backend.close?.();
});

describe("the list", () => {
  it("teaches whoever has none", async () => {
    backend.schedules.rows.length = 0;
    start({ page: "schedules" });
    await follow(within(await screen.findByTestId("no-schedules")).getByTestId("first-schedule"));
    expect(await screen.findByTestId("schedule-form")).toBeTruthy();
  });

  it("tells when each runs, when next, how it stands and how the last run went", async () => {
    start({ page: "schedules" });
    const report = await rowNamed("Morning report");
    expect(report.textContent).toContain("Every weekday at 09:00, Europe/Berlin time");
    expect(within(report).getByTestId("next-firing").textContent).toMatch(/in \d+ (min|h|days).*09:00/);
    expect(within(report).getByTestId("schedule-state").dataset.state).toBe("enabled");
    expect(within(report).getByTestId("last-run").dataset.state).toBe("completed");
    const links = await rowNamed("Check the links");
    expect(within(links).getByTestId("schedule-reason").textContent).toBe("Paused after 2 failures in a row.");
    expect(within(links).getByTestId("last-run").dataset.state).toBe("failed");
  });

  it("pauses and resumes", async () => {
    start({ page: "schedules" });
    const report = await rowNamed("Morning report");
    await user.click(within(report).getByTestId("pause-schedule"));
    await vi.waitFor(() => expect(within(report).getByTestId("schedule-state").dataset.state).toBe("paused"), PATIENCE);
    expect((await rowNamed("Morning report")).textContent).toContain("fires no more until resumed");
    await user.click(within(await rowNamed("Morning report")).getByRole("button", { name: "Resume Morning report" }));
    await vi.waitFor(
      async () =>
        expect(within(await rowNamed("Morning report")).getByTestId("schedule-state").dataset.state).toBe("enabled"),
      PATIENCE,
    );
  });

  it("deletes after a confirmation that says that the ledger stays", async () => {
    start({ page: "schedules" });
    await user.click(within(await rowNamed("Morning report")).getByTestId("schedule-menu"));
    await user.click(await screen.findByTestId("menu-delete"));
    expect((await screen.findByTestId("confirm-dialog")).textContent).toContain("Its ledger stays");
    await user.click(screen.getByTestId("confirm"));
    await vi.waitFor(
      () => expect(screen.queryByText("Morning report", { selector: "[data-testid=schedule-link]" })).toBeNull(),
      PATIENCE,
    );
    await follow(screen.getByTestId("tab-runs"));
    expect((await screen.findAllByText("Morning report")).length).toBeGreaterThan(0);
  });

  it("shows those of one worker, and a way to them at the worker", async () => {
    const machineId = backend.world.machines[0]?.id ?? "";
    start({ page: "machine", machineId });
    const sections = await screen.findAllByTestId("worker-schedules");
    expect(sections[0]?.textContent).toContain("Morning report");
    await follow(within(sections[0] ?? document.body).getByTestId("worker-schedules-all"));
    await rowNamed("Morning report");
    expect(screen.getByTestId("worker-filter").textContent).toContain("api-server on laptop");
    expect(screen.queryByText("Dependency sweep")).toBeNull();
  });

  it("lays the past and the coming week out in lanes", async () => {
    start({ page: "schedules", tab: "timeline" });
    const lanes = await screen.findAllByTestId("lane");
    expect(lanes).toHaveLength(4);
    await vi.waitFor(() => expect(screen.getAllByTestId("run-mark").length).toBeGreaterThan(10), PATIENCE);
    const sweep = lanes.find((lane) => lane.textContent.includes("Dependency sweep")) ?? document.body;
    expect(within(sweep).getAllByTestId("firing-ahead").length).toBeGreaterThan(25);
    expect(within(sweep).getAllByRole("button", { name: /^Dependency sweep: skipped, .*still going on/ })).toHaveLength(
      1,
    );
  });
});

describe("the editor", () => {
  it("says at once what it understood, previews it and points out the clocks", async () => {
    start({ page: "new-schedule" });
    await type("schedule-zone", "Europe/Berlin");
    await type("schedule-when", "every weekday at 9");
    expect(screen.getByTestId("understood").textContent).toContain("Every weekday at 09:00, Europe/Berlin time");
    expect(within(screen.getByTestId("firing-preview")).getAllByTestId("firing").length).toBeGreaterThanOrEqual(5);
    await type("schedule-when", "every year on 28 March at 02:30");
    expect(screen.getAllByTestId("firing-note")[0]?.textContent).toMatch(/02:30 (does not exist|comes twice)/);
    await type("schedule-when", "0 9 30 2 *");
    expect(screen.getByTestId("schedule-when-problem").textContent).toContain("never fires");
    await type("schedule-zone", "Europe/Berlim");
    expect(screen.getByTestId("schedule-zone-problem").textContent).toContain("Did you mean Europe/Berlin?");
  });

  it("tells at the fields what is missing, then creates", async () => {
    const worker = backend.world.workers[0]?.id ?? "";
    start({ page: "new-schedule", worker });
    await user.click(await screen.findByTestId("schedule-submit"));
    expect(screen.getByTestId("schedule-name-problem")).toBeTruthy();
    expect(screen.getByTestId("schedule-when-problem")).toBeTruthy();
    expect(screen.getByTestId("schedule-prompt-problem")).toBeTruthy();
    await type("schedule-name", "Nightly");
    await type("schedule-when", "every day at 3");
    await type("schedule-prompt", "Look at ");
    await user.click(screen.getByTestId("variable-last_outcome"));
    await user.click(screen.getByTestId("allow-web"));
    await follow(screen.getByTestId("schedule-submit"));
    await vi.waitFor(() => expect(backend.schedules.rows.at(-1)?.spec.name).toBe("Nightly"), PATIENCE);
    expect(backend.schedules.rows.at(-1)?.spec).toMatchObject({
      when: { kind: "cron", expression: "0 3 * * *" },
      prompt: "Look at {{last_outcome}}",
      overlap: "skip",
      unattended: { kind: "only" },
    });
    show();
    expect((await screen.findByTestId("schedule-title")).textContent).toBe("Nightly");
  });

  it("shows the backend's refusal, and stays", async () => {
    const worker = backend.world.workers[0]?.id ?? "";
    backend.world.workers.shift();
    start({ page: "new-schedule", worker });
    await type("schedule-name", "Nightly");
    await type("schedule-when", "every day at 3");
    await type("schedule-prompt", "Do it");
    await user.click(screen.getByTestId("schedule-submit"));
    expect((await screen.findByTestId("error")).textContent).toContain("This worker was removed");
    expect(screen.queryByTestId("schedule-title")).toBeNull();
  });

  it("edits, from the next firing on", async () => {
    detail("Morning report");
    await follow(await screen.findByTestId("edit-schedule"));
    expect((await screen.findByTestId("holds-from")).textContent).toMatch(/Holds from the next firing: .*09:00/);
    await type("schedule-when", "every day at 10:30");
    expect(screen.getByTestId("holds-from").textContent).toMatch(/10:30/);
    await user.click(screen.getByTestId("schedule-submit"));
    await vi.waitFor(() => expect(scheduleNamed("Morning report").summary.revision).toBe(4), PATIENCE);
    show();
    expect((await screen.findByTestId("schedule-facts")).textContent).toContain("Every day at 10:30");
  });

  it("shows that somebody else has edited it, and keeps what was typed", async () => {
    const { summary, spec } = scheduleNamed("Morning report");
    start({ page: "schedule", scheduleId: summary.id, tab: "edit" });
    await type("schedule-prompt", "Mine");
    await act(() =>
      backend.call("schedule.edit", {
        scheduleId: summary.id,
        revision: summary.revision,
        spec: { ...spec, name: "Evening report" },
      }),
    );
    const conflict = await screen.findByTestId("edit-conflict");
    expect(conflict.textContent).toContain("Changed there: name");
    expect(conflict.textContent).toContain("Changed by you: prompt");
    expect(screen.getByTestId<HTMLButtonElement>("schedule-submit").disabled).toBe(true);
    await user.click(screen.getByTestId("conflict-mine"));
    await user.click(screen.getByTestId("schedule-submit"));
    await vi.waitFor(() => expect(scheduleNamed("Morning report").spec.prompt).toBe("Mine"), PATIENCE);
    expect(scheduleNamed("Morning report").summary.revision).toBe(5);
  });

  it("duplicates with everything but the name", async () => {
    const { summary, spec } = scheduleNamed("Dependency sweep");
    start({ page: "new-schedule", like: summary.id });
    const name = await screen.findByTestId<HTMLInputElement>("schedule-name");
    expect(name.value).toBe("Dependency sweep (copy)");
    await user.click(screen.getByTestId("schedule-submit"));
    await vi.waitFor(() => expect(scheduleNamed("Dependency sweep (copy)")).toBeTruthy(), PATIENCE);
    expect(scheduleNamed("Dependency sweep (copy)").spec).toEqual({
      ...spec,
      model: null,
      agent: null,
      name: "Dependency sweep (copy)",
    });
  });
});

describe("one schedule", () => {
  it("runs now: a live link while it goes on, then what it took", async () => {
    detail("Release notes");
    await user.click((await screen.findAllByTestId("run-now"))[0] ?? document.body);
    await latestRunIs("completed");
    const row = screen.getAllByTestId("run-row")[0] ?? document.body;
    expect(within(row).getByTestId("run-usage").textContent).toContain("8.4k in");
    await follow(within(row).getByTestId("run-transcript"));
    expect(await screen.findByTestId("chat-title")).toBeTruthy();
  });

  it("refuses a second run where overlapping ones are skipped", async () => {
    scheduleNamed("Morning report").spec.prompt = "please ask";
    scheduleNamed("Morning report").spec.unattended = { kind: "ask" };
    detail("Morning report");
    const runNow = (await screen.findAllByTestId("run-now"))[0] ?? document.body;
    await user.click(runNow);
    await latestRunIs("running");
    const row = () => screen.getAllByTestId("run-row")[0] ?? document.body;
    await vi.waitFor(() => expect(within(row()).getByTestId("run-transcript").textContent).toBe("Answer it"), PATIENCE);
    await user.click(runNow);
    expect(await screen.findByText("The run before it was still going on.")).toBeTruthy();
    await user.click(within(row()).getByTestId("cancel-run"));
    await latestRunIs("cancelled");
  });

  it("denies what is not listed, and tells it", async () => {
    scheduleNamed("Morning report").spec.prompt = "please ask";
    detail("Morning report");
    await user.click((await screen.findAllByTestId("run-now"))[0] ?? document.body);
    await latestRunIs("completed");
    const row = screen.getAllByTestId("run-row")[0] ?? document.body;
    expect(within(row).getByTestId("run-denied").textContent).toContain("bash: cargo test -p transport reconnect");
  });

  it("fires by the clock, pauses after failures, and says why", async () => {
    const row = scheduleNamed("Release notes");
    row.spec = {
      ...row.spec,
      prompt: "fail",
      retries: { most: 0 },
      pauseAfter: 1,
      when: { kind: "interval", everyMinutes: 60, anchor: 0, zone: "UTC" },
    };
    row.handled = Date.now() - 3_600_000;
    detail("Release notes");
    await screen.findByTestId("no-runs");
    act(() => backend.schedules.tick());
    await latestRunIs("failed");
    expect(screen.getByTestId("schedule-reason").textContent).toContain("Paused after a failure.");
    expect(screen.getByTestId("run-reason").textContent).toContain("HTTP 529");
  });

  it("marks each run in a timeline that the arrow keys go through", async () => {
    detail("Morning report");
    const timeline = await screen.findByTestId("day-timeline");
    const marks = within(timeline).getAllByTestId("run-mark");
    expect(marks.filter((mark) => mark.tabIndex === 0)).toHaveLength(1);
    expect(marks.every((mark) => /^completed|^failed/.test(mark.getAttribute("aria-label") ?? ""))).toBe(true);
    marks[0]?.focus();
    await user.keyboard("{ArrowRight}");
    expect(document.activeElement).toBe(marks[1]);
    await user.keyboard("{Enter}");
    expect(timeline.isConnected).toBe(true);
  });

  it("shows an older page of a long ledger", async () => {
    const row = scheduleNamed("Release notes");
    for (let place = 0; place < 120; place += 1)
      backend.schedules.add(row, Date.now() - (place + 1) * 3_600_000, { state: "completed", endedAt: Date.now() });
    detail("Release notes");
    await user.click(await screen.findByTestId("ledger-earlier"));
    await vi.waitFor(() => expect(screen.getAllByTestId("run-row")).toHaveLength(120), PATIENCE);
    expect(screen.queryByTestId("ledger-earlier")).toBeNull();
  });
});

describe("notifications", () => {
  const shown: { title: string; body: string | undefined }[] = [];
  class FakeNotification {
    static permission = "granted";
    onclick: (() => void) | null = null;
    constructor(title: string, options?: NotificationOptions) {
      shown.push({ title, body: options?.body });
    }
  }

  it("tell of what was chosen while nobody looks", async () => {
    shown.length = 0;
    vi.stubGlobal("Notification", FakeNotification);
    window.localStorage.setItem("orchestrator.notifications", "on");
    vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    const of = (name: string, prompt: string, onSuccess: boolean) => {
      const { spec, summary } = scheduleNamed(name);
      Object.assign(spec, { prompt, retries: { most: 0 }, notify: { onFailure: true, onSuccess, onAsk: true } });
      return backend.call("schedule.runNow", { scheduleId: summary.id });
    };
    start({ page: "settings" });
    await screen.findByTestId("settings");
    await act(() => of("Morning report", "fail", false));
    await act(() => of("Dependency sweep", "Do it", false));
    await act(() => of("Release notes", "Do it", true));
    await vi.waitFor(
      () =>
        expect(shown.map(({ title }) => title)).toEqual(expect.arrayContaining(["Morning report", "Release notes"])),
      PATIENCE,
    );
    expect(shown.find(({ title }) => title === "Morning report")?.body).toMatch(/^Failed\. .*529/);
    expect(shown.some(({ title }) => title === "Dependency sweep")).toBe(false);
    vi.unstubAllGlobals();
  });
});
