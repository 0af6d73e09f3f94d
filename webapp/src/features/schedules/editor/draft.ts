import { MODEL_FORM } from "@/features/machine/worker-settings";
import { LIMITS, type ScheduleSpec, type WorkerId } from "@/lib/backend/wire.gen";
import { promptProblem } from "@/lib/schedule";
import { LIMITS as SCHEDULE_LIMITS } from "@/lib/schedule/shared.gen";
import { byteLength } from "@/lib/text/bytes";

import { allowOf, ticksOf } from "./permissions";
import { textOf, understand, type Kept, type Understood } from "./when";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A schedule as it is being written: numbers are texts, since they are typed. */
export interface Draft {
  name: string;
  workerId: WorkerId | null;
  /** A phrase, a cron expression or an interval. */
  when: string;
  zone: string;
  prompt: string;
  model: string;
  agent: string;
  session: "new" | "continue";
  ownWorktree: boolean;
  overlap: "skip" | "queue" | "cancel" | "parallel";
  catchUp: "latest" | "all" | "skip";
  catchUpHours: string;
  jitterMinutes: string;
  /** Empty: as long as it takes. */
  timeLimitMinutes: string;
  retries: string;
  pauseAfter: string;
  unattended: "ask" | "only";
  ticked: string[];
  allowMore: string;
  onFailure: boolean;
  onSuccess: boolean;
  onAsk: boolean;
  webhook: string;
}

export function newDraft(workerId: WorkerId | null, zone: string): Draft {
  return {
    name: "",
    workerId,
    when: "",
    zone,
    prompt: "",
    model: "",
    agent: "",
    session: "new",
    ownWorktree: false,
    overlap: "skip",
    catchUp: "latest",
    catchUpHours: "24",
    jitterMinutes: "0",
    timeLimitMinutes: "60",
    retries: "2",
    pauseAfter: "5",
    unattended: "only",
    ticked: ["look", "edit"],
    allowMore: "",
    onFailure: true,
    onSuccess: false,
    onAsk: true,
    webhook: "",
  };
}

export function draftOf(spec: ScheduleSpec, workerId: WorkerId, browserZone: string): Draft {
  const { when, session, overlap, catchUp, unattended, notify } = spec;
  return {
    ...newDraft(workerId, when.kind === "unknown" ? browserZone : when.zone),
    name: spec.name,
    when: textOf(when),
    prompt: spec.prompt,
    model: spec.model ?? "",
    agent: spec.agent ?? "",
    session: session.kind === "continue" ? "continue" : "new",
    ownWorktree: session.kind === "new" && session.ownWorktree,
    overlap: overlap === "unknown" ? "skip" : overlap,
    catchUp: catchUp.kind === "unknown" ? "skip" : catchUp.kind,
    ...(catchUp.kind === "all" ? { catchUpHours: String(catchUp.withinMs / HOUR) } : {}),
    jitterMinutes: String(spec.jitterMs / MINUTE),
    timeLimitMinutes: spec.timeLimitMs == null ? "" : String(spec.timeLimitMs / MINUTE),
    retries: String(spec.retries.most),
    pauseAfter: String(spec.pauseAfter),
    unattended: unattended.kind === "ask" ? "ask" : "only",
    // What cannot be read denies all.
    ...(unattended.kind === "only"
      ? rename(ticksOf(unattended.allow))
      : unattended.kind === "unknown"
        ? { ticked: [], allowMore: "" }
        : {}),
    onFailure: notify.onFailure,
    onSuccess: notify.onSuccess,
    onAsk: notify.onAsk,
    webhook: notify.webhook ?? "",
  };
}

function rename({ ticked, more }: { ticked: string[]; more: string }): Pick<Draft, "ticked" | "allowMore"> {
  return { ticked, allowMore: more };
}

export type Field = keyof Draft;
export type Problems = Partial<Record<Field, string>>;
export type Read = { understood: Understood; spec: ScheduleSpec | null; problems: Problems };

/** What a draft says, or what is wrong with it and where. */
export function readDraft(draft: Draft, now: number, kept?: Kept): Read {
  const understood = understand(draft.when, draft.zone, now, kept);
  const problems: Problems = {};
  const number = (field: Field, text: string, least: number, most: number, unit: string): number => {
    const value = Number(text);
    const isNumber = text.trim() !== "" && Number.isFinite(value);
    if (!isNumber || value < least || value > most) problems[field] = `Between ${least} and ${most} ${unit}.`;
    return value;
  };
  const whole = (field: Field, text: string, most: number, unit: string): number => {
    const value = number(field, text, 0, most, unit);
    if (!problems[field] && !Number.isInteger(value)) problems[field] = "A whole number.";
    return value;
  };

  if (understood.kind === "wrong") problems[understood.field] = understood.message;
  if (understood.kind === "empty") problems.when = "Say when it runs.";
  if (draft.name.trim() === "") problems.name = "Give it a name.";
  else if (byteLength(draft.name.trim()) > LIMITS.nameMaxBytes)
    problems.name = `A name has at most ${LIMITS.nameMaxBytes} bytes.`;
  if (draft.workerId === null) problems.workerId = "Choose the worker that does it.";
  const promptTrouble = promptProblem(draft.prompt);
  if (draft.prompt.trim() === "") problems.prompt = "Write what is to be done.";
  else if (byteLength(draft.prompt) > LIMITS.messageMaxBytes)
    problems.prompt = `A prompt has at most ${LIMITS.messageMaxBytes / 1024} KiB.`;
  else if (promptTrouble !== null) problems.prompt = promptTrouble;
  if (draft.model.trim() !== "" && !MODEL_FORM.test(draft.model.trim())) problems.model = "Write it as provider/model.";

  const withinMs = draft.catchUp === "all" ? number("catchUpHours", draft.catchUpHours, 1, 168, "hours") * HOUR : 0;
  const jitterMost = SCHEDULE_LIMITS.jitterMaxMs / MINUTE;
  const jitterMs = number("jitterMinutes", draft.jitterMinutes, 0, jitterMost, "minutes") * MINUTE;
  const timeLimitMs =
    draft.timeLimitMinutes.trim() === ""
      ? null
      : number(
          "timeLimitMinutes",
          draft.timeLimitMinutes,
          1,
          SCHEDULE_LIMITS.runTimeLimitMaxMs / MINUTE,
          "minutes (seven days)",
        ) * MINUTE;
  const retries = whole("retries", draft.retries, SCHEDULE_LIMITS.runRetriesMax, "times");
  const pauseAfter = whole("pauseAfter", draft.pauseAfter, SCHEDULE_LIMITS.pauseAfterMax, "failures");
  const allow = allowOf(draft.ticked, draft.allowMore);
  if (draft.unattended === "only") {
    if (allow.length > SCHEDULE_LIMITS.allowMaxEntries)
      problems.allowMore = `At most ${SCHEDULE_LIMITS.allowMaxEntries} entries.`;
    const odd = allow.find(
      (entry) => !/^[a-z_]+(:.+)?$/.test(entry) || byteLength(entry) > SCHEDULE_LIMITS.allowEntryMaxBytes,
    );
    if (odd !== undefined) problems.allowMore = `"${odd.slice(0, 40)}" is no entry. Write one like bash or bash:git *.`;
  }
  const webhook = draft.webhook.trim();
  if (webhook !== "" && !isWebhook(webhook)) problems.webhook = "An https address, or http to this very computer.";

  if (understood.kind !== "ok" || Object.keys(problems).length > 0) return { understood, spec: null, problems };
  const spec: ScheduleSpec = {
    name: draft.name.trim(),
    when: understood.when,
    prompt: draft.prompt,
    model: draft.model.trim() || null,
    agent: draft.agent.trim() || null,
    session: draft.session === "continue" ? { kind: "continue" } : { kind: "new", ownWorktree: draft.ownWorktree },
    overlap: draft.overlap,
    catchUp: draft.catchUp === "all" ? { kind: "all", withinMs: Math.round(withinMs) } : { kind: draft.catchUp },
    jitterMs: Math.round(jitterMs),
    ...(timeLimitMs === null ? {} : { timeLimitMs: Math.round(timeLimitMs) }),
    retries: { most: retries },
    pauseAfter,
    unattended: draft.unattended === "ask" ? { kind: "ask" } : { kind: "only", allow },
    notify: {
      onFailure: draft.onFailure,
      onSuccess: draft.onSuccess,
      onAsk: draft.onAsk,
      webhook: webhook || null,
    },
  };
  return { understood, spec, problems };
}

function isWebhook(text: string): boolean {
  if (!URL.canParse(text) || byteLength(text) > LIMITS.urlMaxBytes) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === "https:" || (protocol === "http:" && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname));
}

/** Where a refusal of the backend belongs, if its words say so; it is shown below the form in any case. */
export function fieldOfRefusal(message: string): Field | null {
  const fields: [RegExp, Field][] = [
    [/webhook/i, "webhook"],
    [/variable|prompt|message/i, "prompt"],
    [/time zone/i, "zone"],
    [/expression|phrase|interval/i, "when"],
    [/worker|machine/i, "workerId"],
    [/model/i, "model"],
    [/\bname\b/i, "name"],
  ];
  return fields.find(([words]) => words.test(message))?.[1] ?? null;
}

const LABELS: Record<Field, string> = {
  name: "name",
  workerId: "worker",
  when: "when it runs",
  zone: "time zone",
  prompt: "prompt",
  model: "model",
  agent: "agent",
  session: "session",
  ownWorktree: "git worktree",
  overlap: "overlap",
  catchUp: "missed firings",
  catchUpHours: "catch-up window",
  jitterMinutes: "spread of starts",
  timeLimitMinutes: "time limit",
  retries: "retries",
  pauseAfter: "pause after failures",
  unattended: "unattended permissions",
  ticked: "allowed permissions",
  allowMore: "allowed permissions",
  onFailure: "notifications",
  onSuccess: "notifications",
  onAsk: "notifications",
  webhook: "webhook",
};

/** In what two drafts differ, in words. */
export function differences(one: Draft, other: Draft): string[] {
  const fields = (Object.keys(LABELS) as Field[]).filter(
    (field) => JSON.stringify(one[field]) !== JSON.stringify(other[field]),
  );
  return [...new Set(fields.map((field) => LABELS[field]))];
}
