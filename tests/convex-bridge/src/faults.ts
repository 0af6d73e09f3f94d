/** Faults that wait to happen. What closes connections or the listening socket is in `bridge.ts`. */
import { realTimeout } from "./clock.ts";

export type DropWhen = "before" | "after";

export class Faults {
  private drops: { when: DropWhen; function: string | undefined }[] = [];
  private delays: { ms: number; function: string | undefined }[] = [];

  /**
   * The connection of the next mutation (of `path`, if given) is cut: before it runs, or after its commit and before
   * its answer. `times` mutations are met so.
   */
  drop(when: DropWhen, path?: string, times = 1): void {
    for (let i = 0; i < times; i += 1) this.drops.push({ when, function: path });
  }

  /** Answers to mutations and actions (of `path`, if given) are held back for so long, until the faults are cleared. */
  delay(ms: number, path?: string): void {
    this.delays.push({ ms, function: path });
  }

  clear(): void {
    this.drops = [];
    this.delays = [];
  }

  /** Whether the connection is to be cut now; each drop happens once. */
  takeDrop(when: DropWhen, path: string): boolean {
    const found = this.drops.findIndex((it) => it.when === when && (it.function ?? path) === path);
    if (found >= 0) this.drops.splice(found, 1);
    return found >= 0;
  }

  heldMs(path: string): number {
    return this.delays.filter((it) => (it.function ?? path) === path).reduce((sum, it) => sum + it.ms, 0);
  }

  async hold(path: string): Promise<void> {
    const ms = this.heldMs(path);
    if (ms > 0) await realTimeout(ms);
  }
}
