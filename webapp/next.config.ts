import type { NextConfig } from "next";

const config: NextConfig = {
  // The hub serves the page from its own binary: plain files, no server of Next's own.
  output: "export",
  reactStrictMode: true,
  poweredByHeader: false,
  images: { unoptimized: true },
  devIndicators: false,
};

export default config;
