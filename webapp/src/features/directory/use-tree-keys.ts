import { useRef, type KeyboardEvent } from "react";

import { shownName } from "./paths";
import type { EntryRow, Row } from "./rows";

const TYPE_AHEAD_MS = 600;

interface Handlers {
  onActive: (id: string) => void;
  onToggle: (row: EntryRow) => void;
  /** What Enter does: opens a folder, shows a file, tries again, shows more. */
  onDefault: (row: Row) => void;
  onMenu: (row: EntryRow) => void;
  onRename: (row: EntryRow) => void;
  onTrash: (row: EntryRow) => void;
  onUp: () => void;
}

/** The keys of a tree, as the WAI-ARIA pattern has them; F2, Delete and Backspace as in file managers. */
export function useTreeKeys(rows: readonly Row[], activeIndex: number, handlers: Handlers) {
  const typed = useRef({ text: "", at: 0 });

  return (event: KeyboardEvent) => {
    // Of the menu and the buttons within, whose keys are their own.
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = rows[activeIndex];
    if (!row) {
      if (event.key === "Backspace") handlers.onUp();
      return;
    }
    const entry = row.kind === "entry" ? row : null;
    const go = (index: number) => {
      const to = rows[Math.max(0, Math.min(rows.length - 1, index))];
      if (to) handlers.onActive(to.id);
    };
    const letter = event.key.length === 1 && event.key !== " ";
    // Whoever moves otherwise begins a new name with the next letter.
    if (!letter) typed.current.text = "";
    switch (event.key) {
      case "ArrowDown":
        go(activeIndex + 1);
        break;
      case "ArrowUp":
        go(activeIndex - 1);
        break;
      case "Home":
        go(0);
        break;
      case "End":
        go(rows.length - 1);
        break;
      case "ArrowRight":
        if (entry?.expanded === false) handlers.onToggle(entry);
        else if (entry?.expanded === true && rows[activeIndex + 1]?.parent === entry.id) go(activeIndex + 1);
        break;
      case "ArrowLeft":
        if (entry?.expanded === true) handlers.onToggle(entry);
        else if (row.parent !== null) handlers.onActive(row.parent);
        break;
      case " ":
        if (entry && entry.expanded !== null) handlers.onToggle(entry);
        break;
      case "Enter":
        handlers.onDefault(row);
        break;
      case "F2":
        if (entry) handlers.onRename(entry);
        break;
      case "Delete":
        if (entry) handlers.onTrash(entry);
        break;
      case "ContextMenu":
        if (entry) handlers.onMenu(entry);
        break;
      case "F10":
        if (!event.shiftKey) return;
        if (entry) handlers.onMenu(entry);
        break;
      case "Backspace":
        handlers.onUp();
        break;
      default: {
        if (!letter) return;
        const now = event.timeStamp;
        const begun = now - typed.current.at < TYPE_AHEAD_MS ? typed.current.text : "";
        typed.current = { text: begun + event.key.toLowerCase(), at: now };
        const found = nextNamed(rows, begun === "" ? activeIndex + 1 : activeIndex, typed.current.text);
        if (found !== -1) go(found);
      }
    }
    event.preventDefault();
  };
}

/** The next line whose name begins with a text, from a line on and around. */
function nextNamed(rows: readonly Row[], from: number, text: string): number {
  for (let step = 0; step < rows.length; step += 1) {
    const index = (from + step) % rows.length;
    const row = rows[index];
    if (row?.kind === "entry" && shownName(row.entry.name).toLowerCase().startsWith(text)) return index;
  }
  return -1;
}
