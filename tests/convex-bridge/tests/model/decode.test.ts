import { ConvexError } from "convex/values";
import { expect, test } from "vitest";
import { decodeArgs } from "../../../../convex/model/decode.ts";
import { DEFINITIONS, FUNCTION_ARGS } from "../../../../convex/model/gen/schemas.ts";
import { FUNCTIONS } from "../../../../convex/model/gen/wire.ts";
import { newId } from "../../../../convex/model/ids.ts";

const machineId = newId("mch");
const turnId = newId("trn");

/** What an argument is refused with. */
function refusal(name: string, args: unknown): string {
  try {
    decodeArgs(name, args);
  } catch (error) {
    expect(error).toBeInstanceOf(ConvexError);
    const { code, message } = (error as ConvexError<{ code: string; message: string }>).data;
    expect(code).toBe("invalid");
    return message;
  }
  throw new Error(`${name} took ${JSON.stringify(args)}`);
}

test("members that are not known are left out, at any depth", () => {
  const args = { machineId, operation: { kind: "trash", path: "a", soon: true }, later: 1 };
  expect(decodeArgs("machine.command.request", args)).toEqual({ machineId, operation: { kind: "trash", path: "a" } });
});

test("absent members have their defaults, and options are written as null", () => {
  expect(decodeArgs("worker.register", { machineId, directory: "a" })).toEqual({
    machineId,
    directory: "a",
    name: null,
    settings: { model: null, agent: null, sandbox: "off" },
  });
  expect(decodeArgs("machine.heartbeat", undefined)).toEqual({ draining: false });
  expect(decodeArgs("machine.heartbeat", null)).toEqual({ draining: false });
});

test("an option that the Rust side does not write is not written here", () => {
  const answer = { kind: "reject", message: null };
  expect(decodeArgs("worker.chat.answerAsk", { askId: newId("ask"), answer })).toMatchObject({
    answer: { kind: "reject" },
  });
});

test("variants that are not known become unknown where that is one, and are refused where not", () => {
  const decoded = decodeArgs("machine.command.request", { machineId, operation: { kind: "fly", to: "moon" } });
  expect(decoded).toEqual({ machineId, operation: { kind: "unknown" } });
  expect(decodeArgs("worker.configure", { workerId: newId("wrk"), settings: { sandbox: "jail" } })).toMatchObject({
    settings: { sandbox: "unknown" },
  });
});

test("a tool call lies within its part", () => {
  const part = { id: "p", kind: "tool", tool: "bash", state: "completed", output: "x" };
  const answer = { parts: [part, { id: "q", kind: "hologram", depth: 3 }], hash: "h" };
  expect(decodeArgs("worker.chat.writeMessage", { turnId, outcome: "completed", answer })).toEqual({
    turnId,
    outcome: "completed",
    reason: null,
    answer: {
      parts: [
        { ...part, input: "", truncated: false },
        { id: "q", kind: "unknown" },
      ],
      hash: "h",
      usage: null,
      model: null,
    },
  });
});

test("what does not fit is refused with where it does not", () => {
  const start = "The arguments do not fit: ";
  expect(refusal("machine.create", {})).toBe(`${start}missing field \`name\`.`);
  expect(refusal("machine.command.request", { machineId, operation: {} })).toBe(`${start}missing field \`kind\`.`);
  for (const [name, args] of [
    ["machine.create", { name: 7 }],
    ["machine.create", { name: null }],
    ["machine.create", { name: 7n }],
    ["machine.create", ["box"]],
    ["machine.create", "box"],
    ["machine.view", { machineId: turnId }],
    ["machine.heartbeat", { draining: "yes" }],
    ["machine.heartbeat", { draining: null }],
    ["machine.connect", { machineId, secret: "s", wireVersion: -1 }],
    ["machine.connect", { machineId, secret: "s", wireVersion: 1.5 }],
    ["machine.connect", { machineId, secret: "s", wireVersion: 2 ** 32 }],
    ["machine.connect", { machineId, secret: "s", wireVersion: 1n }],
    ["worker.chat.transcript", { chatSessionId: newId("cht"), turnIds: turnId }],
    ["worker.chat.transcript", { chatSessionId: newId("cht"), turnIds: [null] }],
    ["machine.command.request", { machineId, operation: "trash" }],
    ["machine.command.request", { machineId, operation: { kind: 1 } }],
  ] as const) {
    expect(refusal(name, args).startsWith(start)).toBe(true);
  }
});

test("every function has a schema, and no schema says anything that the decoder does not know", () => {
  expect(Object.keys(FUNCTION_ARGS).sort()).toEqual(Object.keys(FUNCTIONS).sort());
  type Words = { properties?: object; oneOf?: object[]; anyOf?: object[]; items?: object; format?: string };
  const known = ["$ref", "type", "format", "const", "oneOf", "anyOf", "properties", "required", "items", "default"];
  const check = (schema: Words): void => {
    const { properties = {}, oneOf = [], anyOf = [], items, ...rest } = schema;
    expect(Object.keys(rest).filter((word) => ![...known, "minimum", "maximum"].includes(word))).toEqual([]);
    [...(Object.values(properties) as Words[]), ...oneOf, ...anyOf].forEach(check);
    if (items !== undefined) check(items);
    const { format } = rest;
    expect(["uint8", "uint32", "uint64", undefined]).toContain(format?.startsWith("id:") ? undefined : format);
  };
  ([...Object.values(FUNCTION_ARGS), ...Object.values(DEFINITIONS)] as Words[]).forEach(check);
});
