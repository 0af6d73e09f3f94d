import { Logo } from "@/components/logo";

/** Served by the hub, with status 404, for a path that no page has. */
export default function NotFoundPage() {
  return (
    <main className="grid h-dvh place-items-center p-6">
      <div className="flex flex-col items-center gap-3 text-center">
        <Logo className="size-9" />
        <h1 className="text-base font-semibold">There is no such page</h1>
        {/* A whole new page load: this file knows nothing of the app's own moves. */}
        <a href="/" className="text-sm text-muted-foreground underline underline-offset-4 hover:text-foreground">
          All machines
        </a>
      </div>
    </main>
  );
}
