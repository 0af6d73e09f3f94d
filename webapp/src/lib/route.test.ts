import { describe, expect, it } from "vitest";

import { hrefOf, parseRoute, type Route } from "./route";

const parse = (href: string) => {
  const url = new URL(href, "http://hub.test");
  return parseRoute(url.pathname, url.searchParams);
};

describe("routes", () => {
  const routes: Route[] = [
    { page: "home" },
    { page: "settings" },
    { page: "sign-in" },
    { page: "machine", machineId: "mch_01kaq3vh2ef0r9c5m8d7x6w4zb" },
    { page: "machine", machineId: "mch_01kaq3vh2ef0r9c5m8d7x6w4zb", worker: "wrk_01kaq3vh2ef0r9c5m8d7x6w4zb" },
    { page: "machine", machineId: "mch_01kaq3vh2ef0r9c5m8d7x6w4zb", tab: "activity" },
    { page: "machine", machineId: "mch_01kaq3vh2ef0r9c5m8d7x6w4zb", tab: "files", directory: "" },
    { page: "machine", machineId: "mch_01kaq3vh2ef0r9c5m8d7x6w4zb", tab: "files", directory: "a b/c&d=#?/\\\\ü\\xff" },
    { page: "chat", chatSessionId: "cht_01kaq3vh2ef0r9c5m8d7x6w4zb" },
    { page: "schedules" },
    { page: "schedules", tab: "runs" },
    { page: "schedules", worker: "wrk_01kaq3vh2ef0r9c5m8d7x6w4zb", tab: "timeline" },
    { page: "new-schedule", worker: "wrk_01kaq3vh2ef0r9c5m8d7x6w4zb" },
    { page: "new-schedule", like: "sch_01kaq3vh2ef0r9c5m8d7x6w4zb" },
    { page: "schedule", scheduleId: "sch_01kaq3vh2ef0r9c5m8d7x6w4zb" },
    { page: "schedule", scheduleId: "sch_01kaq3vh2ef0r9c5m8d7x6w4zb", tab: "edit" },
  ];
  it.each(routes)("$page goes to an address and back", (route) => expect(parse(hrefOf(route))).toEqual(route));
  it.each(["/chat", "/chat?id=../../x", "/machine?id=MCH_1", "/schedule?id=1", "/nothing"])("%s is nowhere", (href) =>
    expect(parse(href)).toEqual({ page: "not-found" }),
  );
});
