import type { ReactNode } from "react";

/** The part of a page below its top line. */
export function Scrolled({ children }: { children: ReactNode }) {
  return (
    <div className="min-h-0 flex-1 overflow-y-auto scroll-thin">
      <div className="mx-auto flex w-full max-w-4xl flex-col gap-6 p-4 md:p-6">{children}</div>
    </div>
  );
}
