import type { ChatSessionId, MachineId, ScheduleId, WorkerId } from "./backend/wire.gen";

/** Every place in the page. Ids are in the query, since a static export has no paths made of data. */
export type Route =
  | { page: "home" }
  | { page: "sign-in" }
  | { page: "machine"; machineId: MachineId; worker?: WorkerId }
  | { page: "machine"; machineId: MachineId; tab: "files"; directory: string }
  | { page: "machine"; machineId: MachineId; tab: "activity" }
  | { page: "machine"; machineId: MachineId; tab: "health" }
  | { page: "chat"; chatSessionId: ChatSessionId }
  | { page: "schedules"; worker?: WorkerId; tab?: "timeline" | "runs" }
  /** A new one, of a worker, or like one that there is. */
  | { page: "new-schedule"; worker?: WorkerId; like?: ScheduleId }
  | { page: "schedule"; scheduleId: ScheduleId; tab?: "edit" }
  | { page: "settings" }
  | { page: "not-found" };

/** The paths for which a file is exported. */
export const PAGE_PATHS = [
  "/",
  "/sign-in",
  "/machine",
  "/chat",
  "/schedules",
  "/new-schedule",
  "/schedule",
  "/settings",
];

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
    case "/schedules": {
      const ofWorker = idIn(query, "worker");
      const tab = query.get("tab");
      if (tab === "timeline" || tab === "runs") return { page: "schedules", ...ofWorker, tab };
      return { page: "schedules", ...ofWorker };
    }
    case "/new-schedule":
      return { page: "new-schedule", ...idIn(query, "worker"), ...idIn(query, "like") };
    case "/schedule": {
      const tab = query.get("tab") === "edit" ? ({ tab: "edit" } as const) : {};
      return ID.test(id) ? { page: "schedule", scheduleId: id, ...tab } : { page: "not-found" };
    }
    default:
      return { page: "not-found" };
  }
}

function idIn<Key extends string>(query: URLSearchParams, key: Key): Partial<Record<Key, string>> {
  const id = query.get(key) ?? "";
  return ID.test(id) ? ({ [key]: id } as Partial<Record<Key, string>>) : {};
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
    case "schedules":
      return withQuery("/schedules", { worker: route.worker, tab: route.tab });
    case "new-schedule":
      return withQuery("/new-schedule", { worker: route.worker, like: route.like });
    case "schedule":
      return withQuery("/schedule", { id: route.scheduleId, tab: route.tab });
    case "sign-in":
    case "settings":
      return `/${route.page}`;
  }
}

function withQuery(path: string, values: Record<string, string | undefined>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) if (value !== undefined) query.set(key, value);
  return query.size === 0 ? path : `${path}?${query.toString()}`;
}

/** Goes to a place without asking the server; Next keeps its hooks in step with the browser's history. */
export function navigate(route: Route, options: { replace?: boolean } = {}): void {
  if (options.replace) window.history.replaceState(null, "", hrefOf(route));
  else window.history.pushState(null, "", hrefOf(route));
}
