import { defineConfig } from "vitest/config";

export default defineConfig({
  // convex-test and the functions must share one copy of `convex`, wherever the functions lie.
  resolve: { dedupe: ["convex", "@noble/hashes", "croner"] },
  test: {
    include: ["tests/**/*.test.{ts,tsx}", "vectors/**/*.test.ts", "*.test.ts"],
    environment: "node",
    restoreMocks: true,
    // Generous, since the machine may be busy with builds: a hang is what this is to end.
    testTimeout: 300_000,
  },
});
