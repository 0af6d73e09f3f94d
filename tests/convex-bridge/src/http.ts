/** Convex's HTTP API, as far as its clients need it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { UserIdentity } from "convex/server";
import type { JSONValue } from "convex/values";
import type { Outcome } from "./engine.ts";
import { clientMessage, RequestError } from "./errors.ts";
import type { FunctionKind } from "./functions.ts";
import { encodeTs } from "./protocol.ts";
import type { Shared } from "./session.ts";

/** What an answer to `/version` and `/instance_name` says. */
const NAME = "convex-bridge";
/** The size of a request that is read; the backend's own limit is a little below. */
const LARGEST_BODY_BYTES = 20 * 1024 * 1024;

type Body = { path?: string; args?: JSONValue };

export async function serveHttp(request: IncomingMessage, response: ServerResponse, shared: Shared): Promise<void> {
  response.setHeader("Access-Control-Allow-Origin", request.headers.origin ?? "*");
  response.setHeader("Access-Control-Allow-Credentials", "true");
  if (request.method === "OPTIONS") {
    response.setHeader("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    response.setHeader("Access-Control-Allow-Headers", request.headers["access-control-request-headers"] ?? "*");
    return void response.writeHead(204).end();
  }
  try {
    await route(request, response, shared);
  } catch (error) {
    const known = error instanceof RequestError ? error : new RequestError(500, "InternalServerError", String(error));
    if (known !== error) shared.log(`http: ${String(error)}`);
    sendJson(response, known.status, { code: known.code, message: known.message });
  }
}

async function route(request: IncomingMessage, response: ServerResponse, shared: Shared): Promise<void> {
  const url = new URL(request.url ?? "/", "http://bridge");
  // A client's version may stand in the path, as in /api/1.48.0/query.
  const route = url.pathname.replace(/^\/api\/\d[^/]*\//, "/api/");
  if (request.method === "GET") {
    if (route === "/version" || route === "/instance_name") return void response.end(NAME);
    if (route === "/api/query") {
      const args = JSON.parse(url.searchParams.get("args") ?? "{}") as JSONValue;
      return call("query", { path: url.searchParams.get("path") ?? "", args }, request, response, shared);
    }
  }
  if (request.method !== "POST") throw notFound(route);
  switch (route) {
    case "/api/query":
    // There is only the newest state here, so a query at an earlier timestamp sees it too.
    case "/api/query_at_ts":
      return call("query", await readBody(request), request, response, shared);
    case "/api/query_ts": {
      sendJson(response, 200, { ts: encodeTs(shared.engine.ts) });
      return;
    }
    case "/api/mutation":
      return call("mutation", await readBody(request), request, response, shared);
    case "/api/action":
      return call("action", await readBody(request), request, response, shared);
    case "/api/function": {
      const body = (await readBody(request)) as Body;
      return call(shared.engine.kindOf(body.path ?? ""), body, request, response, shared);
    }
    default:
      throw notFound(route);
  }
}

async function call(
  kind: FunctionKind,
  body: Body,
  request: IncomingMessage,
  response: ServerResponse,
  shared: Shared,
): Promise<void> {
  const { engine, faults } = shared;
  const { path, args = {} } = body;
  if (path === undefined) throw new RequestError(400, "BadJsonBody", "The body has no path");
  const identity = await authenticate(request, shared);
  // Over HTTP nothing removes repeated mutations: each request runs.
  if (kind === "mutation" && faults.takeDrop("before", path)) return void request.socket.destroy();
  const outcome = await engine.exclusive(async (): Promise<Outcome> => {
    if (kind === "query") return (await engine.query({ path, args, identity }, "client")).outcome;
    if (kind === "action") return engine.action({ path, args, identity });
    return (await engine.mutation({ path, args, identity })).outcome;
  });
  if (kind === "mutation" && faults.takeDrop("after", path)) return void request.socket.destroy();
  if (kind !== "query") await faults.hold(path);
  sendJson(response, 200, answerOf(outcome, shared));
}

function answerOf(outcome: Outcome, shared: Shared): unknown {
  if ("value" in outcome) return { status: "success", value: outcome.value };
  const { failure } = outcome;
  const data = failure.data === undefined ? {} : { errorData: failure.data };
  return { status: "error", errorMessage: clientMessage(failure, shared.style), ...data };
}

async function authenticate(request: IncomingMessage, shared: Shared): Promise<UserIdentity | null> {
  const header = request.headers.authorization;
  if (header === undefined) return null;
  if (!/^bearer /i.test(header)) {
    throw new RequestError(401, "InvalidAuthHeader", "Header must begin with `bearer `");
  }
  return (await shared.authenticator.verify(header.slice("bearer ".length).trim())).identity;
}

/** A request's body as JSON. */
export async function readBody(request: IncomingMessage): Promise<Body & Record<string, JSONValue>> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > LARGEST_BODY_BYTES) throw new RequestError(413, "RequestTooLarge", "The body is too large");
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8") || "{}") as Body & Record<string, JSONValue>;
  } catch {
    throw new RequestError(400, "BadJsonBody", "The body is not JSON");
  }
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

function notFound(route: string): RequestError {
  return new RequestError(404, "NotFound", `No such route: ${route}`);
}
