/* eslint-disable */
/**
 * Generated `api` utility.
 *
 * THIS CODE IS AUTOMATICALLY GENERATED.
 *
 * To regenerate, run `npx convex dev`.
 * @module
 */

import type {
  ApiFromModules,
  FilterApi,
  FunctionReference,
} from "convex/server";
import type * as crons from "../crons.js";
import type * as deadlines from "../deadlines.js";
import type * as machine from "../machine.js";
import type * as machine_command from "../machine/command.js";
import type * as schedule from "../schedule.js";
import type * as system from "../system.js";
import type * as upkeep from "../upkeep.js";
import type * as worker from "../worker.js";
import type * as worker_chat from "../worker/chat.js";

/**
 * A utility for referencing Convex functions in your app's API.
 *
 * Usage:
 * ```js
 * const myFunctionReference = api.myModule.myFunction;
 * ```
 */
declare const fullApi: ApiFromModules<{
  crons: typeof crons;
  deadlines: typeof deadlines;
  machine: typeof machine;
  "machine/command": typeof machine_command;
  schedule: typeof schedule;
  system: typeof system;
  upkeep: typeof upkeep;
  worker: typeof worker;
  "worker/chat": typeof worker_chat;
}>;
export declare const api: FilterApi<
  typeof fullApi,
  FunctionReference<any, "public">
>;
export declare const internal: FilterApi<
  typeof fullApi,
  FunctionReference<any, "internal">
>;
