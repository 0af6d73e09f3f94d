import { RouteLink } from "@/components/route-link";
import { cn } from "@/lib/utils";

import type { MachineRoute } from "./machine-page";

/** The parts of a machine's page; links, since each has its own address. */
export function MachineTabs({ route, workerCount }: { route: MachineRoute; workerCount: number }) {
  const { machineId } = route;
  const current = "tab" in route ? route.tab : "workers";
  const tabs = [
    { id: "workers", text: "Workers", to: { page: "machine", machineId } },
    { id: "files", text: "Files", to: { page: "machine", machineId, tab: "files", directory: "" } },
    { id: "activity", text: "Activity", to: { page: "machine", machineId, tab: "activity" } },
    { id: "health", text: "Health", to: { page: "machine", machineId, tab: "health" } },
  ] as const;
  return (
    <nav aria-label="Parts of this machine" className="flex shrink-0 gap-1 border-b px-3 md:px-4">
      {tabs.map(({ id, text, to }) => (
        <RouteLink
          key={id}
          to={to}
          aria-current={current === id ? "page" : undefined}
          className={cn(
            "-mb-px border-b-2 border-transparent px-2 py-2 text-xs font-medium text-muted-foreground outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50 focus-visible:ring-inset",
            current === id && "border-foreground text-foreground",
          )}
          data-testid={`tab-${id}`}
        >
          {text}
          {id === "workers" && (
            <span className="ml-1.5 font-normal text-muted-foreground tabular-nums" data-testid="worker-count">
              {workerCount}
            </span>
          )}
        </RouteLink>
      ))}
    </nav>
  );
}
