"use client";

import {
  BotIcon,
  EyeIcon,
  EyeOffIcon,
  FolderPlusIcon,
  GitBranchPlusIcon,
  RotateCwIcon,
  SearchIcon,
  XIcon,
} from "lucide-react";

import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";

export type ToolbarDialog = "new-folder" | "clone" | "add-worker";

export function BrowserToolbar(props: {
  filter: string;
  onFilter: (text: string) => void;
  /** The arrow down leads from the filter into the tree. */
  onDown: () => void;
  hidden: boolean;
  onHidden: (hidden: boolean) => void;
  onRefresh: () => void;
  onDialog: (kind: ToolbarDialog) => void;
  canAct: boolean;
}) {
  const { filter, hidden } = props;
  return (
    <div className="flex flex-wrap items-center gap-1.5">
      <div className="relative min-w-32 flex-1 sm:max-w-64">
        <SearchIcon className="pointer-events-none absolute top-1/2 left-2 size-3.5 -translate-y-1/2 text-muted-foreground" />
        <Input
          type="text"
          role="searchbox"
          aria-label="Filter this folder by name"
          placeholder="Filter"
          autoComplete="off"
          spellCheck={false}
          value={filter}
          onChange={(event) => props.onFilter(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "ArrowDown") {
              event.preventDefault();
              props.onDown();
            } else if (event.key === "Escape") props.onFilter("");
          }}
          className="h-7 pr-7 pl-7 md:text-xs pointer-coarse:h-9"
          data-testid="filter"
        />
        {filter !== "" && (
          <button
            type="button"
            aria-label="Clear the filter"
            onClick={() => props.onFilter("")}
            className="absolute top-1/2 right-1.5 -translate-y-1/2 rounded-sm p-0.5 text-muted-foreground outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50"
          >
            <XIcon className="size-3.5" />
          </button>
        )}
      </div>
      <Button
        variant="ghost"
        size="icon-sm"
        aria-pressed={hidden}
        aria-label="Show hidden files"
        title={hidden ? "Hidden files are shown" : "Show hidden files"}
        className={hidden ? "bg-accent text-foreground" : undefined}
        onClick={() => props.onHidden(!hidden)}
        data-testid="toggle-hidden"
      >
        {hidden ? <EyeIcon /> : <EyeOffIcon />}
      </Button>
      <Button
        variant="ghost"
        size="icon-sm"
        aria-label="Refresh"
        title="Refresh"
        onClick={props.onRefresh}
        data-testid="refresh"
      >
        <RotateCwIcon />
      </Button>
      <div className="ml-auto flex items-center gap-1.5">
        <Action {...props} kind="new-folder" icon={<FolderPlusIcon />} text="New folder" />
        <Action {...props} kind="clone" icon={<GitBranchPlusIcon />} text="Clone" />
        <Action {...props} kind="add-worker" icon={<BotIcon />} text="Add worker here" />
      </div>
    </div>
  );
}

function Action(props: {
  kind: ToolbarDialog;
  icon: React.ReactNode;
  text: string;
  canAct: boolean;
  onDialog: (kind: ToolbarDialog) => void;
}) {
  return (
    <Button
      variant="outline"
      size="sm"
      aria-label={props.text}
      title={props.text}
      disabled={!props.canAct}
      onClick={() => props.onDialog(props.kind)}
      data-testid={`browser-${props.kind}`}
    >
      {props.icon}
      <span className="max-sm:sr-only">{props.text}</span>
    </Button>
  );
}
