/**
 * Time as functions and convex-test see it. Outside an execution `Date` and `setTimeout` stay what they are, so that
 * the official clients can run in the same process as a bridge with a virtual clock.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** Called when a scheduled function is due, at its time. */
export type Due = () => Promise<void>;

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `due` at `atMs`; may be later, never earlier. */
  at(atMs: number, due: Due): void;
  /** Drops what has not come due. */
  close(): void;
}

/** What the code that runs now sees of the world; the syscalls and the globals below look here. */
export interface Moment {
  /** The time, which stands still in a query or a mutation as in Convex. */
  now(): number;
  /** Told that the time was looked at: a cached result that depends on it does not live long. */
  sawTime(): void;
  /** Takes convex-test's timers for scheduled functions; false leaves a timer to the platform. */
  takeTimer(callback: () => void, delayMs: number): boolean;
}

export const moment = new AsyncLocalStorage<Moment>();

const RealDate = globalThis.Date;
const realSetTimeout = globalThis.setTimeout;
const realClearTimeout = globalThis.clearTimeout;

/** The longest delay that setTimeout takes; a longer one would fire at once. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

export class RealClock implements Clock {
  private readonly timers = new Set<{ handle: NodeJS.Timeout }>();

  now(): number {
    return RealDate.now();
  }

  at(atMs: number, due: Due): void {
    const timer = { handle: undefined as unknown as NodeJS.Timeout };
    this.timers.add(timer);
    const arm = (): void => {
      const left = atMs - RealDate.now();
      if (left <= 0) {
        this.timers.delete(timer);
        void due();
        return;
      }
      // Activity is kept for a year: what is farther than 24 days is waited for in several steps.
      timer.handle = realSetTimeout(arm, Math.min(left, LONGEST_TIMEOUT_MS));
    };
    timer.handle = realSetTimeout(arm, Math.min(Math.max(0, atMs - RealDate.now()), LONGEST_TIMEOUT_MS));
  }

  close(): void {
    for (const { handle } of this.timers) realClearTimeout(handle);
    this.timers.clear();
  }
}

export class VirtualClock implements Clock {
  private queue: { atMs: number; due: Due }[] = [];
  private advancing: Promise<void> = Promise.resolve();

  constructor(private nowMs: number) {}

  now(): number {
    return this.nowMs;
  }

  at(atMs: number, due: Due): void {
    // The order among equal times is the order of scheduling.
    const place = this.queue.findIndex((other) => other.atMs > atMs);
    this.queue.splice(place < 0 ? this.queue.length : place, 0, { atMs, due });
  }

  /** Moves time on, and meets all that becomes due, each at its own time, also what that schedules. */
  advance(ms: number): Promise<void> {
    this.advancing = this.advancing.then(async () => {
      const target = this.nowMs + ms;
      for (let next = this.queue[0]; next !== undefined && next.atMs <= target; next = this.queue[0]) {
        this.queue.shift();
        this.nowMs = Math.max(this.nowMs, next.atMs);
        await next.due();
      }
      this.nowMs = target;
    });
    return this.advancing;
  }

  /** Sets the clock on or back, and meets all that is due then: at the new time, since nobody was there before. */
  jump(ms: number): Promise<void> {
    this.advancing = this.advancing.then(() => {
      this.nowMs += ms;
    });
    return this.advance(0);
  }

  close(): void {
    this.queue = [];
  }
}

/** The platform's timer, which no clock of a bridge rules. */
export function realTimeout(ms: number): Promise<void> {
  return new Promise((resolve) => void realSetTimeout(resolve, ms));
}

let installed = false;

/** Puts the globals in place that ask the running execution for the time; once a process. */
export function installGlobals(): void {
  if (installed) return;
  installed = true;
  const now = (): number => {
    const current = moment.getStore();
    current?.sawTime();
    return current === undefined ? RealDate.now() : current.now();
  };
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: unknown[], newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
    apply: () => new RealDate(now()).toString(),
    get: (target, key, receiver) => (key === "now" ? now : (Reflect.get(target, key, receiver) as unknown)),
  });
  const timeout = (callback: () => void, ms?: number, ...args: unknown[]): unknown => {
    const taken = moment.getStore()?.takeTimer(callback, ms ?? 0) ?? false;
    return taken ? undefined : (realSetTimeout as (...all: unknown[]) => unknown)(callback, ms, ...args);
  };
  globalThis.setTimeout = Object.assign(timeout, realSetTimeout) as typeof globalThis.setTimeout;
}
