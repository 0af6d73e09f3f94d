import { Suspense } from "react";

import { App } from "@/features/shell/app";
import { Splash } from "@/features/shell/splash";
import { PAGE_PATHS } from "@/lib/route";

/** One page for all paths: moving between them needs nothing from the server, also while it is away. */
export function generateStaticParams(): { path: string[] }[] {
  return PAGE_PATHS.map((path) => ({ path: path.split("/").filter(Boolean) }));
}

export const dynamicParams = false;

export default function Page() {
  return (
    <Suspense fallback={<Splash />}>
      <App />
    </Suspense>
  );
}
