import type { Backend } from "./backend";
import { fetchConfig } from "./config";
import { sharedHubBackend } from "./shared/hub";

// The configuration is on its way before anything asks for the backend.
let opening = typeof window === "undefined" ? null : open();
opening?.catch(() => undefined);

/** The backend that this page belongs to: one for the life of the page. Where it failed, asking again tries again. */
export function openBackend(): Promise<Backend> {
  opening ??= open();
  opening.catch(() => {
    opening = null;
  });
  return opening;
}

async function open(): Promise<Backend> {
  // A constant of the build: the fake never reaches a production bundle.
  if (process.env.NODE_ENV !== "production" && process.env.NEXT_PUBLIC_BACKEND === "fake") {
    const { fakeBackend } = await import("./fake");
    return fakeBackend();
  }
  const config = await fetchConfig();
  if (config.backend === "hub") return sharedHubBackend();
  const { sharedConvexBackend } = await import("./convex");
  return sharedConvexBackend(config);
}
