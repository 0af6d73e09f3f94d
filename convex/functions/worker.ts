import { mutation } from "../model/builders";
import * as workers from "../model/workers";

export const register = mutation("worker.register", workers.register);
export const rename = mutation("worker.rename", workers.rename);
export const configure = mutation("worker.configure", workers.configure);
export const remove = mutation("worker.remove", workers.remove);
export const report = mutation("worker.report", workers.report);
