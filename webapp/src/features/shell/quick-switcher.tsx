"use client";

import { CalendarClockIcon, MonitorIcon, SettingsIcon } from "lucide-react";
import { useEffect } from "react";

import { ChatStateIcon } from "@/components/chat-state";
import { PresenceDot, isThere } from "@/components/presence";
import { Command, CommandEmpty, CommandGroup, CommandInput, CommandItem, CommandList } from "@/components/ui/command";
import { Dialog, DialogContent, DialogDescription, DialogTitle } from "@/components/ui/dialog";
import { navigate, type Route } from "@/lib/route";
import { readableLine } from "@/lib/text/sanitise";

import { useFleet } from "./fleet";

const isMac = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.userAgent);
export const SWITCHER_KEY = isMac ? "⌘K" : "Ctrl K";

/** Goes to any chat or machine by a few letters of its name. */
export function QuickSwitcher({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const { list, chats, views } = useFleet();

  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(isMac ? event.metaKey : event.ctrlKey) || event.shiftKey || event.altKey)
        return;
      event.preventDefault();
      onOpenChange(!open);
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [open, onOpenChange]);

  const go = (route: Route) => {
    onOpenChange(false);
    navigate(route);
  };

  return (
    <Dialog open={open} onOpenChange={onOpenChange}>
      <DialogContent
        showCloseButton={false}
        className="top-[20%] translate-y-0 gap-0 overflow-hidden p-0"
        data-testid="switcher"
      >
        <DialogTitle className="sr-only">Find a chat or a machine</DialogTitle>
        <DialogDescription className="sr-only">Type a part of its name and press Enter.</DialogDescription>
        <Command loop>
          <CommandInput placeholder="Find a chat or a machine" data-testid="switcher-input" />
          <CommandList>
            <CommandEmpty>Nothing has this name.</CommandEmpty>
            <CommandGroup heading="Chats">
              {chats.map((chat) => {
                const view = views.get(chat.machineId);
                const worker = view?.workers.find(({ id }) => id === chat.workerId);
                const place = [worker?.name, view?.machine.name].filter(Boolean).join(" · ");
                return (
                  <CommandItem
                    key={chat.id}
                    value={`${chat.title} ${place} ${chat.id}`}
                    onSelect={() => go({ page: "chat", chatSessionId: chat.id })}
                    data-testid="switcher-chat"
                  >
                    <ChatStateIcon chat={chat} machineThere={view ? isThere(view.machine) : true} />
                    <span className="truncate">{readableLine(chat.title) || "New chat"}</span>
                    <span className="ml-auto shrink-0 text-xs text-muted-foreground">{place}</span>
                  </CommandItem>
                );
              })}
            </CommandGroup>
            <CommandGroup heading="Machines">
              {list.value?.machines.map((machine) => (
                <CommandItem
                  key={machine.id}
                  value={`${machine.name} ${machine.id}`}
                  onSelect={() => go({ page: "machine", machineId: machine.id })}
                >
                  <PresenceDot machine={machine} className="mx-[3px]" />
                  <span className="truncate">{machine.name}</span>
                </CommandItem>
              ))}
            </CommandGroup>
            <CommandGroup heading="Pages">
              <CommandItem value="All machines" onSelect={() => go({ page: "home" })}>
                <MonitorIcon className="text-muted-foreground" />
                All machines
              </CommandItem>
              <CommandItem value="Schedules" onSelect={() => go({ page: "schedules" })}>
                <CalendarClockIcon className="text-muted-foreground" />
                Schedules
              </CommandItem>
              <CommandItem value="Settings" onSelect={() => go({ page: "settings" })}>
                <SettingsIcon className="text-muted-foreground" />
                Settings
              </CommandItem>
            </CommandGroup>
          </CommandList>
        </Command>
      </DialogContent>
    </Dialog>
  );
}
