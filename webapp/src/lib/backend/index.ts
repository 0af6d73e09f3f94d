import type { Backend } from "./backend";
import { sharedHubBackend } from "./shared/hub";

// A constant of the build: the fake never reaches a production bundle.
export const backend: Backend =
  process.env.NODE_ENV !== "production" && process.env.NEXT_PUBLIC_BACKEND === "fake"
    ? // eslint-disable-next-line @typescript-eslint/no-require-imports
      (require("./fake") as typeof import("./fake")).fakeBackend()
    : sharedHubBackend();
