"use client";

import { PanelLeftIcon } from "lucide-react";
import { createContext, useContext, type ReactNode } from "react";

import { Button } from "@/components/ui/button";

/** Opens the tree of machines and chats, where it is a drawer. */
export const DrawerContext = createContext<() => void>(() => undefined);

/** A page's top line; on a phone it has the button that opens the tree. */
export function PageHeader({ children }: { children: ReactNode }) {
  const openDrawer = useContext(DrawerContext);
  return (
    <header className="flex h-12 shrink-0 items-center gap-2 border-b px-3 md:px-4">
      <Button
        variant="ghost"
        size="icon"
        className="-ml-1 md:hidden"
        aria-label="Open machines and chats"
        onClick={openDrawer}
        data-testid="open-drawer"
      >
        <PanelLeftIcon />
      </Button>
      {children}
    </header>
  );
}
