import { RouteLink } from "@/components/route-link";
import { Button } from "@/components/ui/button";

import { PageHeader } from "./page-header";

export function NotFound({ what = "This page does not exist." }: { what?: string }) {
  return (
    <>
      <PageHeader>
        <h1 className="font-medium">Not found</h1>
      </PageHeader>
      <div className="grid flex-1 place-items-center p-6" data-testid="not-found">
        <div className="flex max-w-sm flex-col items-center gap-3 text-center">
          <p className="text-muted-foreground">{what}</p>
          <Button variant="outline" asChild>
            <RouteLink to={{ page: "home" }}>All machines</RouteLink>
          </Button>
        </div>
      </div>
    </>
  );
}
