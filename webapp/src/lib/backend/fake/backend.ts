import type { Backend } from "../backend";
export function fakeBackend(): Backend {
  throw new Error("not yet");
}
