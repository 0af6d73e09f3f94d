/** `/_bridge/…`: what a test in another process may ask of the bridge. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { JSONValue } from "convex/values";
import type { Bridge } from "./bridge.ts";
import { readBody, sendJson } from "./http.ts";

const PREFIX = "/_bridge/";

export function isControl(request: IncomingMessage): boolean {
  return request.url?.startsWith(PREFIX) === true;
}

/** Each command's answer is sent when it has taken effect. */
export async function serveControl(request: IncomingMessage, response: ServerResponse, bridge: Bridge): Promise<void> {
  // Loopback only, and no page of a browser either.
  if (!/^(::ffff:)?127\.|^::1$/.test(request.socket.remoteAddress ?? "") || request.headers.origin !== undefined) {
    sendJson(response, 403, { error: "Control is for this machine only" });
    return;
  }
  try {
    const command = `${request.method} ${request.url?.slice(PREFIX.length)}`;
    const body = request.method === "POST" ? await readBody(request) : {};
    const answer = await run(command, body, bridge);
    if (answer === undefined) sendJson(response, 404, { error: `No such command: ${command}` });
    else sendJson(response, 200, answer);
  } catch (error) {
    sendJson(response, 400, { error: error instanceof Error ? error.message : String(error) });
  }
}

async function run(command: string, body: Record<string, JSONValue>, bridge: Bridge): Promise<unknown> {
  const path = typeof body.function === "string" ? body.function : undefined;
  switch (command) {
    case "GET tables":
      return bridge.tables();
    case "GET counts":
      return bridge.counts.snapshot();
    case "GET load":
      return bridge.load;
    case "POST counts/reset":
      bridge.counts.reset();
      return {};
    case "POST drop":
      if (body.when !== "before" && body.when !== "after") throw new Error('"when" is "before" or "after"');
      bridge.faults.drop(body.when, path, body.times === undefined ? 1 : number(body.times, "times"));
      return {};
    case "POST delay":
      bridge.faults.delay(number(body.ms, "ms"), path);
      return {};
    case "POST clear":
      bridge.faults.clear();
      bridge.refuse(false);
      return {};
    case "POST refuse":
      bridge.refuse(body.on !== false);
      return {};
    case "POST cut":
      bridge.cutAll();
      return {};
    case "POST restart":
      await bridge.restart(body.ms === undefined ? 0 : number(body.ms, "ms"));
      return {};
    case "POST advance":
      await bridge.advance(number(body.ms, "ms"));
      return {};
    case "POST settled":
      await bridge.settled();
      return {};
    default:
      return undefined;
  }
}

function number(value: JSONValue | undefined, name: string): number {
  if (typeof value !== "number" || !(value >= 0)) throw new Error(`"${name}" is a number from 0 on`);
  return value;
}
