import type { Notify, RunId, RunSummary } from "@/lib/backend/wire.gen";
import { readableLine } from "@/lib/text/sanitise";

export interface RunNews {
  run: RunSummary;
  of: "failure" | "success" | "ask";
  text: string;
}

/** What has become of runs since the last look; `before` are the states that were known then. */
export function runNews(before: ReadonlyMap<RunId, RunSummary>, now: readonly RunSummary[]): RunNews[] {
  return now.flatMap((run): RunNews[] => {
    const old = before.get(run.id);
    if (run.isAsking && old?.isAsking !== true) return [{ run, of: "ask", text: "Waits for your answer." }];
    if (old?.state === run.state) return [];
    const why = run.reason == null || run.reason === "" ? "" : ` ${readableLine(run.reason)}`;
    switch (run.state) {
      case "completed":
        return [{ run, of: "success", text: "Completed." }];
      case "failed":
        return [{ run, of: "failure", text: `Failed.${why}` }];
      case "interrupted":
        return [{ run, of: "failure", text: `Interrupted.${why}` }];
      case "missed":
        return [{ run, of: "failure", text: `Missed.${why}` }];
      case "due":
      case "queued":
      case "running":
      case "cancelled":
      case "skipped":
      case "unknown":
        return [];
    }
  });
}

export function isWanted({ of }: RunNews, notify: Notify): boolean {
  return { failure: notify.onFailure, success: notify.onSuccess, ask: notify.onAsk }[of];
}
