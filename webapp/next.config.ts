import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import type { NextConfig } from "next";

/** Of the code by which tabs talk to each other and to the backend: tabs with other code are left alone. */
function build(): string {
  const root = path.join(import.meta.dirname, "src/lib/backend");
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const hash = createHash("sha256");
  for (const file of files.map(({ parentPath, name }) => path.join(parentPath, name)).sort()) {
    hash.update(readFileSync(file));
  }
  return hash.digest("hex").slice(0, 16);
}

const config: NextConfig = {
  env: { NEXT_PUBLIC_BUILD: build() },
  // The hub serves the page from its own binary: plain files, no server of Next's own.
  output: "export",
  reactStrictMode: true,
  poweredByHeader: false,
  images: { unoptimized: true },
  devIndicators: false,
};

export default config;
