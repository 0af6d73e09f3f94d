// Schedules: when they fire, and what their policies make of a firing. `docs/schedules.md` says it in words; the Rust twin
// is `protocol::schedule`, and `tests/vectors/next-fire` holds the two together. Nothing here is of the page: the only
// import from outside the folder is the parser.
export { type Firing, Timing } from "./firing";
export { type Note, noteText } from "./note";
export { readPhrase } from "./phrase";
export * from "./policies";
export { expand, promptProblem, type Variables } from "./prompt";
export { phraseOf, sentence } from "./sentence";
export { VARIABLES, ZONES } from "./shared.gen";
export { type When, WhenError, type WhenErrorCode } from "./when";
