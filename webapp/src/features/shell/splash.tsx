import { Logo } from "@/components/logo";

export function Splash() {
  return (
    <div className="grid h-dvh place-items-center" data-testid="splash">
      <Logo className="size-9 animate-pulse opacity-60" />
      <noscript>This page needs JavaScript.</noscript>
    </div>
  );
}
