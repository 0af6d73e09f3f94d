import type { AuthConfig } from "convex/server";

const providers = process.env.ORCHESTRATOR_AUTH;
if (!providers) {
  throw new Error(
    "ORCHESTRATOR_AUTH is not set, so nobody could sign in. Make a key and set it: " +
      "`orchestrator convex mint-key`, then `orchestrator convex auth | npx convex env set ORCHESTRATOR_AUTH`.",
  );
}

export default { providers: JSON.parse(providers) as AuthConfig["providers"] };
