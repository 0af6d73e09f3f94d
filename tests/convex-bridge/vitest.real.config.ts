import { defineConfig, mergeConfig } from "vitest/config";
import usual from "./vite.config.ts";

export default mergeConfig(usual, defineConfig({ test: { include: ["real/**/*.test.ts"] } }));
