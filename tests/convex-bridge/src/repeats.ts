/** Mutations that were answered: a client that repeats one in the same session gets the same answer again. */
import type { Outcome } from "./engine.ts";

/** How many answers are kept; Convex keeps them for days. */
const KEPT = 100_000;

export type Answered = { outcome: Outcome; ts: bigint };

/** Only what was committed is remembered: a mutation that failed runs again. */
export class Repeats {
  private readonly answered = new Map<string, Answered>();

  find(sessionId: string | undefined, requestId: number): Answered | undefined {
    return sessionId === undefined ? undefined : this.answered.get(`${sessionId}/${requestId}`);
  }

  remember(sessionId: string | undefined, requestId: number, answer: Answered): void {
    if (sessionId === undefined) return;
    this.answered.set(`${sessionId}/${requestId}`, answer);
    for (const oldest of this.answered.keys()) {
      if (this.answered.size <= KEPT) break;
      this.answered.delete(oldest);
    }
  }
}
