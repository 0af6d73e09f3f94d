import { ConvexError } from "convex/values";
import type { ErrorCode } from "./gen/wire";

/** A refused call: what happened, why, and what to do next. Whatever else is thrown is a defect. */
export function refusal(code: ErrorCode, message: string): ConvexError<{ code: ErrorCode; message: string }> {
  return new ConvexError({ code, message });
}

/** The answer for a thing that does not exist and for a thing of somebody else. */
export const notFound = (what: string) => refusal("not_found", `There is no such ${what}.`);

/** A machine whose credentials are void. */
export const revoked = () =>
  refusal("revoked", "This machine was revoked. Add it again on the page and register with the new key.");
