/** What a person may choose of a schedule. */

import { promptProblem, Timing, WhenError } from "../../webapp/src/lib/schedule";
import type { Doc } from "../functions/_generated/dataModel";
import { LIMITS, type ScheduleSpec, type When } from "./gen/wire";
import { refusal } from "./refusal";
import { byteLength, checkedLabel, checkedModel, checkedName, hasControl, maybe, trimmed } from "./texts";
import { checkMessage } from "./turns";

/** A specification as it is kept: without its prompt, which has a row of its own. */
export type KeptSpec = Doc<"schedules">["spec"];

/** When a schedule fires, if that is something. */
export function timingOf(when: When): Timing {
  try {
    return Timing.of(when);
  } catch (error) {
    if (error instanceof WhenError) {
      throw refusal(error.code === "too_long" ? "too_large" : "invalid", error.message);
    }
    throw error;
  }
}

/** The schedule as it is kept, its prompt, and when it fires. */
export function checkedSpec(spec: ScheduleSpec): { spec: KeptSpec; prompt: string; timing: Timing } {
  const timing = timingOf(spec.when);
  const { prompt, timeLimitMs, ...rest } = spec;
  checkMessage(prompt);
  const problem = promptProblem(prompt);
  if (problem !== null) {
    throw invalid(problem);
  }
  checkKinds(spec);
  checkNumbers(spec);
  if (spec.unattended.kind === "only") {
    checkAllowed(spec.unattended.allow);
  }
  if (spec.notify.webhook != null) {
    checkWebhook(spec.notify.webhook);
  }
  const kept = {
    ...rest,
    name: checkedName(spec.name),
    model: maybe(spec.model, checkedModel),
    agent: maybe(spec.agent, (agent) => checkedLabel(agent, "agent")),
    ...(timeLimitMs == null ? {} : { timeLimitMs }),
  };
  return { spec: kept, prompt, timing };
}

function checkKinds(spec: ScheduleSpec): void {
  const kinds = [
    ["session", spec.session.kind],
    ["overlap policy", spec.overlap],
    ["catch-up policy", spec.catchUp.kind],
    ["unattended policy", spec.unattended.kind],
  ] as const;
  for (const [what, kind] of kinds) {
    if (kind === "unknown") {
      throw invalid(`This backend does not know that kind of ${what}. A newer client may need a newer backend.`);
    }
  }
}

function checkNumbers({ jitterMs, timeLimitMs, retries, pauseAfter, catchUp }: ScheduleSpec): void {
  const { jitterMaxMs, runTimeLimitMinMs, runTimeLimitMaxMs, runRetriesMax, pauseAfterMax } = LIMITS;
  if (jitterMs > jitterMaxMs) {
    throw invalid(`A start can be spread over ${jitterMaxMs} ms at most.`);
  }
  if (timeLimitMs != null && (timeLimitMs < runTimeLimitMinMs || timeLimitMs > runTimeLimitMaxMs)) {
    throw invalid(`A time limit is from ${runTimeLimitMinMs} to ${runTimeLimitMaxMs} ms.`);
  }
  if (retries.most > runRetriesMax) {
    throw invalid(`A run can be tried again ${runRetriesMax} times at most.`);
  }
  if (pauseAfter > pauseAfterMax) {
    throw invalid(`A schedule can pause after ${pauseAfterMax} failures at most, or never (0).`);
  }
  if (catchUp.kind === "all" && catchUp.withinMs > LIMITS.catchUpWindowMaxMs) {
    throw invalid(`What was missed can be caught up for ${LIMITS.catchUpWindowMaxMs} ms at most.`);
  }
}

function checkAllowed(allow: readonly string[]): void {
  const { allowMaxEntries, allowEntryMaxBytes } = LIMITS;
  if (allow.length > allowMaxEntries) {
    throw refusal("too_large", `At most ${allowMaxEntries} permissions can be allowed.`);
  }
  const isEntry = (entry: string): boolean =>
    trimmed(entry.split(":")[0] ?? "") !== "" && byteLength(entry) <= allowEntryMaxBytes && !hasControl(entry);
  if (!allow.every(isEntry)) {
    throw invalid(
      `A permission to allow is a name, or a name, a colon and a pattern, of at most ${allowEntryMaxBytes} bytes ` +
        "without control characters: bash:git *",
    );
  }
}

/** Nothing but the form: what the address leads to is found out when something is sent there. */
export function checkWebhook(url: string): void {
  const size = byteLength(url);
  if (size > LIMITS.urlMaxBytes) {
    throw refusal("too_large", `The webhook's address has ${size} bytes; ${LIMITS.urlMaxBytes} is the limit.`);
  }
  const [, scheme = "", authority = ""] = /^(.*?):\/\/([^/?#]*)/s.exec(url) ?? [];
  const host = (authority.startsWith("[") ? /^[^\]]*\]?/ : /^[^:]*/).exec(authority)?.[0] ?? "";
  const isAllowed = scheme === "https" ? host !== "" : scheme === "http" && isLoopback(host);
  if (!isAllowed || !/^[!-~]*$/.test(url) || url.includes("\\") || authority.includes("@")) {
    throw invalid(
      "A webhook's address begins with https://, or with http:// on this computer itself, and has no user name.",
    );
  }
}

function isLoopback(host: string): boolean {
  const part = "(?:0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])";
  return host === "localhost" || host === "[::1]" || new RegExp(`^127(?:\\.${part}){3}$`).test(host);
}

const invalid = (message: string) => refusal("invalid", message);
