import { mutation, query } from "../../model/builders";
import * as commands from "../../model/commands";

export const request = mutation("machine.command.request", commands.request);
export const cancel = mutation("machine.command.cancel", commands.cancel);
export const view = query("machine.command.view", commands.view);
export const take = mutation("machine.command.take", commands.take);
export const report = mutation("machine.command.report", commands.report);
export const finish = mutation("machine.command.finish", commands.finish);
