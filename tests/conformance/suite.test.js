// The published suite, against a server of our own that lives as long as this file runs.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { runConformanceTests } from "@durable-streams/server-conformance-tests";
import { afterAll, beforeAll } from "vitest";

const options = { baseUrl: "" };
let server;

beforeAll(async () => {
  server = spawn(process.env.CONFORMANCE_SERVER, [], { stdio: ["pipe", "pipe", "inherit"] });
  const [address] = await once(createInterface({ input: server.stdout }), "line");
  options.baseUrl = address;
});

afterAll(async () => {
  const ended = once(server, "exit");
  server.stdin.end();
  await ended;
});

runConformanceTests(options);
