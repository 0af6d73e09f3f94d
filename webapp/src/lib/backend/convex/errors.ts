import { BackendError } from "../backend";
import type { CallError } from "../wire.gen";
import { deploymentIsOld } from "./version";

/** What Convex says when it is busy or another change came in between: the same call may work in a moment. */
const TRANSIENT =
  /OptimisticConcurrencyControlFailure|changed while this mutation|InternalServerError|Your request couldn't be completed|TooManyConcurrent|ExpiredInQueue|WorkerOverloaded|RateLimited/i;
const MISSING = /Could not find (public )?function/i;

/** What a failed function means to the page: our functions refuse with a `ConvexError`; anything else is a defect. */
export function refusalOf(error: unknown, name: string): BackendError {
  if (error instanceof BackendError) return error;
  const data = dataOf(error);
  if (data) return BackendError.from(data);
  const text = error instanceof Error ? error.message : String(error);
  if (MISSING.test(text)) return new BackendError("upgrade_required", deploymentIsOld(`it has no function ${name}`));
  if (TRANSIENT.test(text))
    return new BackendError("unavailable", "The Convex deployment can't do this now. Try again in a moment.");
  return new BackendError(
    "internal",
    `The Convex deployment failed at ${name}: ${gist(text)}. Its logs (npx convex logs) say more.`,
  );
}

function dataOf(error: unknown): CallError | null {
  if (typeof error !== "object" || error === null || !("data" in error)) return null;
  const { data } = error;
  if (typeof data !== "object" || data === null) return null;
  const { code, message } = data as Partial<CallError>;
  return typeof code === "string" && typeof message === "string" ? (data as CallError) : null;
}

/** Without what the client wraps around it, and in one line. */
function gist(text: string): string {
  const line = text
    .replace(/^\[CONVEX [^\]]*\]\s*/, "")
    .replace(/\s*Called by client\s*$/, "")
    .split("\n", 1)[0];
  return (line ?? "").trim().replace(/\.$/, "") || "no reason given";
}
