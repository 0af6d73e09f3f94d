"use client";

import { useState } from "react";

import { PresenceDot, presenceOf } from "@/components/presence";
import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import { shownName } from "@/features/directory/paths";
import type { WorkerId } from "@/lib/backend/wire.gen";
import { cn } from "@/lib/utils";

import type { Target, TargetGroup } from "./targets";

/** From this many workers on, there is a field to find one. */
const FILTER_FROM = 9;

/** The workers that can go on with a chat, by machine. */
export function TargetList({
  groups,
  chosen,
  onChoose,
  leftOut,
  onAddLeftOut,
}: {
  groups: readonly TargetGroup[];
  chosen: WorkerId | null;
  onChoose: (workerId: WorkerId) => void;
  /** How many machines are not among the groups yet. */
  leftOut: number;
  onAddLeftOut: () => void;
}) {
  const [filter, setFilter] = useState("");
  const count = groups.reduce((sum, { targets }) => sum + targets.length, 0);
  const shown = filtered(groups, filter);
  return (
    <fieldset className="flex min-w-0 flex-col gap-1.5">
      <legend className="mb-1.5 text-xs font-medium">Where it goes on</legend>
      {count >= FILTER_FROM && (
        <Input
          aria-label="Find a worker or machine"
          placeholder="Find a worker or machine"
          autoComplete="off"
          spellCheck={false}
          value={filter}
          onChange={(event) => setFilter(event.target.value)}
          data-testid="continue-filter"
        />
      )}
      {count === 0 && (
        <p className="text-xs text-muted-foreground" data-testid="continue-nowhere">
          There is no worker to continue with. Add one on the page of a machine that has this repository.
        </p>
      )}
      {count > 0 && shown.length === 0 && (
        <p className="text-xs text-muted-foreground">No worker or machine has this name.</p>
      )}
      {shown.length > 0 && (
        <div className="max-h-[34dvh] min-h-24 overflow-y-auto rounded-lg border scroll-thin">
          {shown.map((group) => (
            <Group key={group.machine.id} group={group} chosen={chosen} onChoose={onChoose} />
          ))}
        </div>
      )}
      {leftOut > 0 && (
        <Button variant="ghost" size="sm" className="self-start" onClick={onAddLeftOut} data-testid="continue-more">
          {leftOut === 1 ? "Show 1 more machine" : `Show ${leftOut} more machines`}
        </Button>
      )}
    </fieldset>
  );
}

function Group({
  group,
  chosen,
  onChoose,
}: {
  group: TargetGroup;
  chosen: WorkerId | null;
  onChoose: (workerId: WorkerId) => void;
}) {
  const { machine, there, targets } = group;
  const id = `continue-on-${machine.id}`;
  return (
    <div role="group" aria-labelledby={id} className="border-b last:border-b-0" data-testid="continue-machine">
      <p id={id} className="flex items-center gap-2 bg-muted/50 px-3 py-1.5 text-xs">
        <PresenceDot machine={machine} />
        <span className="max-w-[60%] shrink-0 truncate font-medium">{machine.name}</span>
        {!there && (
          <span className="min-w-0 truncate text-muted-foreground">
            {presenceOf(machine).text}; begins when it is back
          </span>
        )}
        {machine.info?.problem != null && (
          <span className="min-w-0 truncate text-wait" title={machine.info.problem}>
            chats can&apos;t run there now
          </span>
        )}
      </p>
      {targets.map((target) => (
        <Row
          key={target.worker.id}
          target={target}
          chosen={chosen === target.worker.id}
          onChoose={() => onChoose(target.worker.id)}
        />
      ))}
    </div>
  );
}

function Row({ target, chosen, onChoose }: { target: Target; chosen: boolean; onChoose: () => void }) {
  const { worker, matches, isSource, usable } = target;
  return (
    <label
      className={cn(
        "flex min-h-9 cursor-pointer items-center gap-2.5 px-3 py-1.5 hover:bg-accent/60 has-checked:bg-accent has-focus-visible:ring-[3px] has-focus-visible:ring-ring/50 has-focus-visible:ring-inset",
        !usable && "cursor-not-allowed opacity-60",
      )}
      title={usable ? undefined : (worker.reason ?? "The machine can't use this directory.")}
    >
      <input
        type="radio"
        name="continue-target"
        value={worker.id}
        checked={chosen}
        disabled={!usable}
        onChange={onChoose}
        className="size-3.5 shrink-0 accent-(--primary)"
        data-testid="continue-target"
        data-worker-id={worker.id}
      />
      <span className="min-w-0 truncate font-medium">{worker.name}</span>
      <span className="min-w-0 flex-1 truncate font-mono text-xs text-muted-foreground">
        {worker.directory === "" ? "the root itself" : shownName(worker.directory)}
      </span>
      {isSource ? (
        <Badge variant="outline">this chat&apos;s own</Badge>
      ) : (
        matches && <Badge variant="ok">same name</Badge>
      )}
      {!usable && <Badge variant="bad">unavailable</Badge>}
    </label>
  );
}

function filtered(groups: readonly TargetGroup[], filter: string): readonly TargetGroup[] {
  const wanted = filter.trim().toLowerCase();
  if (wanted === "") return groups;
  return groups
    .map((group) => ({
      ...group,
      targets: group.machine.name.toLowerCase().includes(wanted)
        ? group.targets
        : group.targets.filter(({ worker }) => `${worker.name} ${worker.directory}`.toLowerCase().includes(wanted)),
    }))
    .filter(({ targets }) => targets.length > 0);
}
