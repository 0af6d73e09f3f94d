import { mutation, query } from "../model/builders";
import * as schedules from "../model/schedules";
import * as views from "../model/scheduleViews";

export const list = query("schedule.list", views.list);
export const view = query("schedule.view", views.view);
export const ledger = query("schedule.ledger", views.ledger);
export const create = mutation("schedule.create", schedules.create);
export const edit = mutation("schedule.edit", schedules.edit);
export const pause = mutation("schedule.pause", schedules.pause);
export const resume = mutation("schedule.resume", schedules.resume);
export const runNow = mutation("schedule.runNow", schedules.runNow);
export const cancelRun = mutation("schedule.cancelRun", schedules.cancelRun);
/** `delete` itself is no name that a module can declare. */
const deleteSchedule = mutation("schedule.delete", schedules.remove);
export { deleteSchedule as delete };
