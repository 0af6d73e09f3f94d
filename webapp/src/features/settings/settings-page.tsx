"use client";

import { LogOutIcon, MonitorIcon, MoonIcon, SunIcon } from "lucide-react";
import type { ComponentType, ReactNode } from "react";
import { toast } from "sonner";

import { Button } from "@/components/ui/button";
import { PageHeader } from "@/features/shell/page-header";
import { useIdentity } from "@/features/sign-in/signed-in";
import { asBackendError, type Me } from "@/lib/backend/backend";
import { useBackend } from "@/lib/backend/react";
import { setTheme, useTheme, type Theme } from "@/lib/theme";
import { cn } from "@/lib/utils";

import { NotificationSwitch } from "./notification-switch";
import { PasswordForm } from "./password-form";

export function SettingsPage() {
  const { auth } = useBackend();
  const { me, refresh } = useIdentity();
  const signOut = async () => {
    try {
      await auth.signOut();
      await refresh();
    } catch (error) {
      toast.error("You are still signed in", { description: asBackendError(error).message });
    }
  };
  return (
    <>
      <PageHeader>
        <h1 className="font-semibold">Settings</h1>
      </PageHeader>
      <div className="min-h-0 flex-1 overflow-y-auto scroll-thin">
        <div className="mx-auto flex w-full max-w-2xl flex-col divide-y p-4 md:p-6" data-testid="settings">
          <Section title="Appearance" text="Kept in this browser.">
            <ThemePicker />
          </Section>
          <Section
            title="Notifications"
            text="When a turn ends or somebody waits for you, while this page is out of sight."
          >
            <NotificationSwitch />
          </Section>
          {auth.ways.password && (
            <Section
              title={me.hasPassword ? "Password" : "Set a password"}
              text={
                me.hasPassword
                  ? "Change the password you sign in with."
                  : "Sign-in links work once. With a password you can sign in from any browser."
              }
            >
              <PasswordForm key={String(me.hasPassword)} />
            </Section>
          )}
          <Section title="Signed in" text={`As ${me.person.name}, in this browser${until(me)}.`}>
            <Button variant="outline" className="self-start" onClick={() => void signOut()} data-testid="sign-out">
              <LogOutIcon />
              Sign out
            </Button>
          </Section>
        </div>
      </div>
    </>
  );
}

/** Only where it ends at all. */
function until({ endsAt }: Me): string {
  return endsAt === null ? "" : `, until ${new Date(endsAt).toLocaleDateString(undefined, { dateStyle: "long" })}`;
}

function Section({ title, text, children }: { title: string; text: string; children: ReactNode }) {
  return (
    <section className="grid gap-x-8 gap-y-3 py-6 first:pt-2 sm:grid-cols-[12rem_minmax(0,1fr)]">
      <div>
        <h2 className="font-medium">{title}</h2>
        <p className="text-xs leading-relaxed text-muted-foreground">{text}</p>
      </div>
      <div className="flex min-w-0 flex-col gap-3">{children}</div>
    </section>
  );
}

const THEMES: { theme: Theme; label: string; icon: ComponentType }[] = [
  { theme: "system", label: "System", icon: MonitorIcon },
  { theme: "light", label: "Light", icon: SunIcon },
  { theme: "dark", label: "Dark", icon: MoonIcon },
];

function ThemePicker() {
  const current = useTheme();
  return (
    <div role="radiogroup" aria-label="Theme" className="flex w-fit gap-1 rounded-lg border bg-muted/60 p-1">
      {THEMES.map(({ theme, label, icon: Icon }) => (
        <button
          key={theme}
          type="button"
          role="radio"
          aria-checked={theme === current}
          onClick={() => setTheme(theme)}
          data-testid={`theme-${theme}`}
          className={cn(
            "flex h-7 items-center gap-1.5 rounded-md px-2.5 text-xs font-medium outline-none focus-visible:ring-[3px] focus-visible:ring-ring/50 [&_svg]:size-3.5",
            theme === current ? "bg-card shadow-xs" : "text-muted-foreground hover:text-foreground",
          )}
        >
          <Icon />
          {label}
        </button>
      ))}
    </div>
  );
}
