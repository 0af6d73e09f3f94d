import { act, cleanup, configure, render, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { TooltipProvider } from "@/components/ui/tooltip";
import { fakeBackend, type Fake } from "@/lib/backend/fake/backend";
import { BackendProvider, useWatch } from "@/lib/backend/react";

import { Health } from "./health";

configure({ asyncUtilTimeout: 15_000 });

let backend: Fake;

beforeEach(() => {
  backend = fakeBackend({ pace: 0 });
});
afterEach(cleanup);

function Shown({ machineId }: { machineId: string }) {
  const { value } = useWatch("machine.view", { machineId });
  return value ? <Health view={value} /> : null;
}

function show(name: string): { machineId: string; leave: () => void } {
  const machineId = backend.world.machines.find((machine) => machine.name === name)?.id ?? "";
  const { unmount } = render(
    <BackendProvider backend={backend}>
      <TooltipProvider>
        <Shown machineId={machineId} />
      </TooltipProvider>
    </BackendProvider>,
  );
  return { machineId, leave: unmount };
}
const text = (testId: string) => screen.getByTestId(testId).textContent;

describe("how a machine is", () => {
  it("shows its connection, its open work and what it tells, each with what it means", async () => {
    show("laptop");
    await screen.findByTestId("health");
    expect(text("health-presence")).toContain("online");
    expect(text("health-lease")).toMatch(/until (.+, )?\d\d:\d\d:\d\d/);
    expect(text("health-epoch")).toContain("12");
    expect(text("health-turns")).toMatch(/Messages2/);
    expect(text("health-asks")).toMatch(/Asks1/);
    expect(text("health-processes")).toContain("6 of 6");
    expect(screen.getByRole("meter", { name: "Processes" }).getAttribute("aria-valuetext")).toBe("6 of 6");
    expect(text("health-memory")).toContain("2.7 GiB of 6.0 GiB");
    expect(text("health-spooled")).toContain("18.0 KiB");
    expect(text("health-reconnects")).toContain("3");
    const waiting = within(screen.getByTestId("health-waiting")).getByRole("link");
    expect(waiting.textContent).toContain("Check the links");
    expect(waiting.getAttribute("href")).toMatch(/^\/chat\?id=cht_/);
    const errors = within(screen.getByTestId("health-errors")).getAllByRole("listitem");
    expect(errors[0]?.textContent).toContain("signal 9");
  });

  it("says so when a machine tells nothing, and why that may be", async () => {
    show("mac-mini");
    expect((await screen.findByTestId("health-untold")).textContent).toContain(
      "an agent of an older version never does",
    );
    expect(screen.queryByTestId("health-processes")).toBeNull();
  });

  it("claims no lease for one that is away", async () => {
    show("build-box");
    await screen.findByTestId("health");
    expect(text("health-presence")).toContain("unknown since");
    expect(text("health-lease")).toMatch(/over.*It ended at/);
    expect(text("health-untold")).toContain("once it is back");
  });

  it("is followed only while somebody looks", async () => {
    const watch = vi.spyOn(backend, "watch");
    const { leave } = show("laptop");
    await screen.findByTestId("health");
    const count = () => watch.mock.calls.filter(([name]) => name === "machine.health").length;
    expect(count()).toBe(1);
    const visibility = vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    act(() => void document.dispatchEvent(new Event("visibilitychange")));
    expect(screen.queryByTestId("health")).toBeNull();
    visibility.mockReturnValue("visible");
    act(() => void document.dispatchEvent(new Event("visibilitychange")));
    await screen.findByTestId("health");
    expect(count()).toBe(2);
    leave();
  });
});
