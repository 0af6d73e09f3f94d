"use client";

import type { ComponentProps, MouseEvent } from "react";

import { hrefOf, navigate, type Route } from "@/lib/route";

/** A real link, that moves within the page without a request. */
export function RouteLink({ to, onClick, ...props }: Omit<ComponentProps<"a">, "href"> & { to: Route }) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (event.defaultPrevented || !plain) return;
    event.preventDefault();
    navigate(to);
  };
  return <a href={hrefOf(to)} onClick={follow} {...props} />;
}
