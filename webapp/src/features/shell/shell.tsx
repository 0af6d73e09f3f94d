"use client";

import dynamic from "next/dynamic";
import { useState } from "react";

import { Sheet, SheetContent, SheetDescription, SheetTitle } from "@/components/ui/sheet";
import { Skeleton } from "@/components/ui/skeleton";
import { MachinePage } from "@/features/machine/machine-page";
import { MachinesPage } from "@/features/machines/machines-page";
import { NewSchedulePage } from "@/features/schedules/editor/new-schedule-page";
import { ScheduleAttention } from "@/features/schedules/schedule-attention";
import { SchedulePage } from "@/features/schedules/schedule-page";
import { SchedulesPage } from "@/features/schedules/schedules-page";
import { SettingsPage } from "@/features/settings/settings-page";
import type { Route } from "@/lib/route";

import { Attention } from "./attention";
import { ConnectionBanner } from "./connection-banner";
import { FleetProvider } from "./fleet";
import { NotFound } from "./not-found";
import { DrawerContext } from "./page-header";
import { QuickSwitcher } from "./quick-switcher";
import { Sidebar } from "./sidebar";

const ChatPage = dynamic(() => import("@/features/chat/chat-page").then((module) => module.ChatPage), {
  ssr: false,
  loading: () => <ChatLoading />,
});

/** The frame around every page: the tree of machines, workers and chats beside it. */
export function Shell({ route }: { route: Route }) {
  const [drawerOpen, setDrawerOpen] = useState(false);
  const [switcherOpen, setSwitcherOpen] = useState(false);
  const openSwitcher = () => {
    setDrawerOpen(false);
    setSwitcherOpen(true);
  };
  return (
    <FleetProvider>
      <DrawerContext value={() => setDrawerOpen(true)}>
        <Attention route={route} />
        <ScheduleAttention />
        <QuickSwitcher open={switcherOpen} onOpenChange={setSwitcherOpen} />
        <a
          href="#main"
          className="sr-only z-50 rounded-md bg-popover px-3 py-2 focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
        >
          Skip to content
        </a>
        <div className="flex h-dvh overflow-hidden">
          <aside className="hidden w-68 shrink-0 flex-col border-r bg-sidebar md:flex">
            <Sidebar route={route} onSearch={openSwitcher} />
          </aside>
          <Sheet open={drawerOpen} onOpenChange={setDrawerOpen}>
            <SheetContent data-testid="drawer">
              <SheetTitle className="sr-only">Machines and chats</SheetTitle>
              <SheetDescription className="sr-only">Everything you own, as a tree.</SheetDescription>
              <Sidebar route={route} onSearch={openSwitcher} onFollow={() => setDrawerOpen(false)} />
            </SheetContent>
          </Sheet>
          <div className="flex min-w-0 flex-1 flex-col">
            <ConnectionBanner />
            <main id="main" tabIndex={-1} className="flex min-h-0 flex-1 flex-col outline-none">
              <RoutedPage route={route} />
            </main>
          </div>
        </div>
      </DrawerContext>
    </FleetProvider>
  );
}

function RoutedPage({ route }: { route: Route }) {
  switch (route.page) {
    case "home":
    case "sign-in":
      return <MachinesPage />;
    case "machine":
      return <MachinePage key={route.machineId} route={route} />;
    case "chat":
      return <ChatPage key={route.chatSessionId} chatSessionId={route.chatSessionId} />;
    case "schedules":
      return <SchedulesPage route={route} />;
    case "new-schedule":
      return (
        <NewSchedulePage key={`${route.worker ?? ""} ${route.like ?? ""}`} worker={route.worker} like={route.like} />
      );
    case "schedule":
      return <SchedulePage key={route.scheduleId} scheduleId={route.scheduleId} tab={route.tab} />;
    case "settings":
      return <SettingsPage />;
    case "not-found":
      return <NotFound />;
  }
}

function ChatLoading() {
  return (
    <div className="mx-auto flex w-full max-w-3xl flex-col gap-4 p-6">
      <Skeleton className="h-5 w-1/3" />
      <Skeleton className="h-20 w-full" />
    </div>
  );
}
