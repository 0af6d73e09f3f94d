import { CircleArrowUpIcon } from "lucide-react";

import { Button } from "@/components/ui/button";

/** Page and backend do not understand each other: nothing else would be true, so nothing else is shown. */
export function UpgradePage({ message }: { message: string }) {
  return (
    <main className="grid h-dvh place-items-center p-6" data-testid="upgrade">
      <div className="flex max-w-md flex-col items-center gap-3 text-center" role="alert">
        <CircleArrowUpIcon className="size-8 text-muted-foreground" />
        <h1 className="text-base font-semibold">An upgrade is needed</h1>
        <p className="text-muted-foreground">{message}</p>
        <Button variant="outline" onClick={() => window.location.reload()}>
          Reload
        </Button>
      </div>
    </main>
  );
}
