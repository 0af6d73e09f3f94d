import type { ChatSessionId, MachineId } from "./backend/wire.gen";

/** Every place in the page. Ids are in the query, since a static export has no paths made of data. */
export type Route =
  | { page: "home" }
  | { page: "sign-in" }
  | { page: "machine"; machineId: MachineId }
  | { page: "chat"; chatSessionId: ChatSessionId }
  | { page: "settings" }
  | { page: "not-found" };

/** The paths for which a file is exported. */
export const PAGE_PATHS = ["/", "/sign-in", "/machine", "/chat", "/settings"];

const ID = /^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$/;

export function parseRoute(pathname: string, query: URLSearchParams): Route {
  const id = query.get("id") ?? "";
  switch (pathname.replace(/(\.html|\/)$/, "")) {
    case "":
    case "/index":
      return { page: "home" };
    case "/sign-in":
      return { page: "sign-in" };
    case "/settings":
      return { page: "settings" };
    case "/machine":
      return ID.test(id) ? { page: "machine", machineId: id } : { page: "not-found" };
    case "/chat":
      return ID.test(id) ? { page: "chat", chatSessionId: id } : { page: "not-found" };
    default:
      return { page: "not-found" };
  }
}

export function hrefOf(route: Route): string {
  switch (route.page) {
    case "home":
    case "not-found":
      return "/";
    case "machine":
      return `/machine?id=${encodeURIComponent(route.machineId)}`;
    case "chat":
      return `/chat?id=${encodeURIComponent(route.chatSessionId)}`;
    case "sign-in":
    case "settings":
      return `/${route.page}`;
  }
}

/** Goes to a place without asking the server; Next keeps its hooks in step with the browser's history. */
export function navigate(route: Route, options: { replace?: boolean } = {}): void {
  if (options.replace) window.history.replaceState(null, "", hrefOf(route));
  else window.history.pushState(null, "", hrefOf(route));
}
