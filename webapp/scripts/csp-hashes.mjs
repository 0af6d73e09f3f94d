// Collects the SHA-256 of every inline script of the exported pages into out/csp.json, so that whoever serves
// them can send a Content-Security-Policy without 'unsafe-inline'.
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";

const out = path.join(import.meta.dirname, "..", "out");
const hashes = new Set();
for (const entry of await readdir(out, { recursive: true })) {
  if (!entry.endsWith(".html")) continue;
  const html = await readFile(path.join(out, entry), "utf8");
  for (const [, attributes, body] of html.matchAll(/<script\b([^>]*)>([\s\S]*?)<\/script>/gi)) {
    if (/\ssrc\s*=/i.test(attributes) || body === "") continue;
    hashes.add(`sha256-${createHash("sha256").update(body, "utf8").digest("base64")}`);
  }
  if (/\son[a-z]+\s*=\s*["']/i.test(html.replace(/<script[\s\S]*?<\/script>/gi, ""))) {
    throw new Error(`${entry} has an inline event handler, which no hash can allow`);
  }
}
await writeFile(path.join(out, "csp.json"), `${JSON.stringify({ scriptHashes: [...hashes].sort() }, null, 2)}\n`);
console.log(`out/csp.json: ${hashes.size} inline scripts`);
