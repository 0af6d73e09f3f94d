import type { ChatSessionId, MachineId, WorkerId } from "./backend/wire.gen";

/** Every place in the page. Ids are in the query, since a static export has no paths made of data. */
export type Route =
  | { page: "home" }
  | { page: "sign-in" }
  | { page: "machine"; machineId: MachineId; worker?: WorkerId }
  | { page: "machine"; machineId: MachineId; tab: "files"; directory: string }
  | { page: "machine"; machineId: MachineId; tab: "activity" }
  | { page: "machine"; machineId: MachineId; tab: "health" }
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
      return ID.test(id) ? machineRoute(id, query) : { page: "not-found" };
    case "/chat":
      return ID.test(id) ? { page: "chat", chatSessionId: id } : { page: "not-found" };
    default:
      return { page: "not-found" };
  }
}

type MachineRoute = Extract<Route, { page: "machine" }>;

function machineRoute(machineId: MachineId, query: URLSearchParams): MachineRoute {
  switch (query.get("tab")) {
    case "files":
      return { page: "machine", machineId, tab: "files", directory: query.get("dir") ?? "" };
    case "activity":
      return { page: "machine", machineId, tab: "activity" };
    case "health":
      return { page: "machine", machineId, tab: "health" };
    default: {
      const worker = query.get("worker") ?? "";
      return ID.test(worker) ? { page: "machine", machineId, worker } : { page: "machine", machineId };
    }
  }
}

function machineQuery(route: MachineRoute): URLSearchParams {
  const query = new URLSearchParams({ id: route.machineId });
  if ("tab" in route) {
    query.set("tab", route.tab);
    if (route.tab === "files" && route.directory !== "") query.set("dir", route.directory);
  } else if (route.worker !== undefined) query.set("worker", route.worker);
  return query;
}

export function hrefOf(route: Route): string {
  switch (route.page) {
    case "home":
    case "not-found":
      return "/";
    case "machine":
      return `/machine?${machineQuery(route).toString()}`;
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
