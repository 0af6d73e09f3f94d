"use client";

import {
  BotIcon,
  ClipboardIcon,
  EllipsisIcon,
  EyeIcon,
  FolderOpenIcon,
  FolderPlusIcon,
  GitBranchPlusIcon,
  PencilIcon,
  Trash2Icon,
} from "lucide-react";

import { Button } from "@/components/ui/button";
import {
  DropdownMenu,
  DropdownMenuContent,
  DropdownMenuItem,
  DropdownMenuSeparator,
  DropdownMenuTrigger,
} from "@/components/ui/dropdown-menu";

import type { EntryRow } from "./rows";

export type EntryAction = "open" | "view" | "new-folder" | "clone" | "add-worker" | "copy-path" | "rename" | "trash";

/** What can be done with an entry; the keyboard opens it by Shift+F10. */
export function EntryMenu(props: {
  row: EntryRow;
  name: string;
  open: boolean;
  onOpenChange: (open: boolean) => void;
  onAction: (action: EntryAction, row: EntryRow) => void;
}) {
  const { row } = props;
  const act = (action: EntryAction) => () => props.onAction(action, row);
  return (
    <DropdownMenu open={props.open} onOpenChange={props.onOpenChange}>
      <DropdownMenuTrigger asChild>
        <Button
          variant="ghost"
          size="icon-sm"
          tabIndex={-1}
          aria-label={`Menu of ${props.name}`}
          onClick={(event) => event.stopPropagation()}
          className="size-6 shrink-0 opacity-0 group-hover/row:opacity-100 group-aria-selected/row:opacity-100 data-[state=open]:opacity-100 pointer-coarse:size-8 pointer-coarse:opacity-100"
          data-testid="row-menu"
        >
          <EllipsisIcon />
        </Button>
      </DropdownMenuTrigger>
      {props.open && (
        <DropdownMenuContent align="end" onClick={(event) => event.stopPropagation()}>
          {row.entry.kind === "directory" && (
            <>
              <DropdownMenuItem onSelect={act("open")}>
                <FolderOpenIcon /> Open
              </DropdownMenuItem>
              <DropdownMenuItem onSelect={act("add-worker")} data-testid="row-add-worker">
                <BotIcon /> Add worker here…
              </DropdownMenuItem>
              <DropdownMenuItem onSelect={act("new-folder")}>
                <FolderPlusIcon /> New folder in it…
              </DropdownMenuItem>
              <DropdownMenuItem onSelect={act("clone")}>
                <GitBranchPlusIcon /> Clone into it…
              </DropdownMenuItem>
              <DropdownMenuSeparator />
            </>
          )}
          {row.entry.kind === "file" && (
            <DropdownMenuItem onSelect={act("view")} data-testid="row-view">
              <EyeIcon /> View
            </DropdownMenuItem>
          )}
          <DropdownMenuItem onSelect={act("copy-path")}>
            <ClipboardIcon /> Copy path
          </DropdownMenuItem>
          <DropdownMenuItem onSelect={act("rename")} data-testid="row-rename">
            <PencilIcon /> Rename…
          </DropdownMenuItem>
          <DropdownMenuItem variant="destructive" onSelect={act("trash")} data-testid="row-trash">
            <Trash2Icon /> Move to trash
          </DropdownMenuItem>
        </DropdownMenuContent>
      )}
    </DropdownMenu>
  );
}
