import type { FullResult, Reporter, TestCase, TestResult } from "@playwright/test/reporter";

/** Closes the run with one line that counts: `e2e: N passed, N failed, N skipped`. */
export default class Counts implements Reporter {
  readonly #outcomes = new Map<string, TestResult["status"]>();

  onTestEnd(test: TestCase, result: TestResult): void {
    this.#outcomes.set(test.id, result.status);
  }

  onEnd(result: FullResult): void {
    const outcomes = [...this.#outcomes.values()];
    const passed = outcomes.filter((status) => status === "passed").length;
    const skipped = outcomes.filter((status) => status === "skipped").length;
    console.log(`e2e: ${passed} passed, ${outcomes.length - passed - skipped} failed, ${skipped} skipped`);
    if (result.status === "passed" && outcomes.length === 0) throw new Error("no test ran");
  }

  printsToStdio(): boolean {
    return false;
  }
}
