/** The bridge as a program; see README.md. */
import { Console } from "node:console";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { start, type Options } from "./src/bridge.ts";

// Standard output is for the address alone; functions log to standard error.
globalThis.console = new Console(process.stderr, process.stderr);

const { values } = parseArgs({
  args: process.argv.slice(process.argv[2] === "--" ? 3 : 2),
  options: {
    listen: { type: "string", default: "127.0.0.1:0" },
    functions: { type: "string" },
    auth: { type: "string", default: process.env.ORCHESTRATOR_AUTH ?? "[]" },
    errors: { type: "string", default: "production" },
    control: { type: "boolean", default: false },
    "virtual-clock": { type: "boolean", default: false },
    "virtual-clock-at": { type: "string", default: "1767225600000" },
  },
});

// Vite ends the process on its own terms; this program has its own.
process.removeAllListeners("SIGTERM");
const ended = new Promise<void>((resolve) => {
  process.once("SIGTERM", resolve);
  process.once("SIGINT", resolve);
});

const address = /^(.+):(\d+)$/.exec(values.listen);
if (address === null) throw new Error(`--listen wants HOST:PORT, not ${values.listen}`);
if (values.errors !== "production" && values.errors !== "development") {
  throw new Error("--errors wants production or development");
}
const bridge = await start({
  functions:
    values.functions === undefined
      ? fileURLToPath(new URL("../../convex/functions", import.meta.url))
      : resolve(values.functions),
  host: address[1] ?? "127.0.0.1",
  port: Number(address[2]),
  providers: providers(values.auth),
  errors: values.errors,
  control: values.control,
  ...(values["virtual-clock"] ? { virtualClockAt: Number(values["virtual-clock-at"]) } : {}),
});
process.stdout.write(`${bridge.url}\n`);
await ended;
await bridge.close();
// vite-node keeps its own server; there is nothing left to wait for.
process.exit(0);

/** The providers may be given as JSON or as a file of it; the functions' own auth.config.ts sees the JSON. */
function providers(given: string): NonNullable<Options["providers"]> {
  const json = existsSync(given) ? readFileSync(given, "utf8") : given;
  process.env.ORCHESTRATOR_AUTH = json;
  return JSON.parse(json) as NonNullable<Options["providers"]>;
}
