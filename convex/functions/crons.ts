import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();

crons.hourly("arm what is overdue", { minuteUTC: 17 }, internal.upkeep.sweep, {});

export default crons;
