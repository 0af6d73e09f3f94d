import { ChevronRightIcon, HardDriveIcon } from "lucide-react";
import { Fragment } from "react";

import { RouteLink } from "@/components/route-link";
import type { MachineId } from "@/lib/backend/wire.gen";
import { cn } from "@/lib/utils";

import { ancestorsOf, nameOf, shownName } from "./paths";

/** The way from the root to the open directory. */
export function Breadcrumb({ machineId, root, directory }: { machineId: MachineId; root: string; directory: string }) {
  const ancestors = ancestorsOf(directory);
  const to = (path: string) => ({ page: "machine", machineId, tab: "files", directory: path }) as const;
  const look =
    "max-w-48 truncate rounded-sm px-1 py-0.5 outline-none hover:bg-accent hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50 aria-[current]:font-medium aria-[current]:text-foreground";
  return (
    <nav aria-label="Folder" className="min-w-0 flex-1 text-sm text-muted-foreground" data-testid="breadcrumb">
      <ol className="flex flex-wrap items-center gap-x-0.5">
        <li className="flex min-w-0 items-center">
          <RouteLink
            to={to("")}
            aria-current={directory === "" ? "page" : undefined}
            title={root}
            className={cn("flex items-center gap-1.5", look, "max-w-60 sm:max-w-96")}
          >
            <HardDriveIcon className="size-3.5 shrink-0" aria-label="Root" />
            <span className="truncate font-mono text-xs">{root}</span>
          </RouteLink>
        </li>
        {ancestors.map((path) => (
          <Fragment key={path}>
            <ChevronRightIcon className="size-3.5 shrink-0 opacity-60" aria-hidden />
            <li className="min-w-0">
              <RouteLink
                to={to(path)}
                aria-current={path === directory ? "page" : undefined}
                title={shownName(path)}
                className={cn("block", look)}
              >
                <bdi>{shownName(nameOf(path))}</bdi>
              </RouteLink>
            </li>
          </Fragment>
        ))}
      </ol>
    </nav>
  );
}
