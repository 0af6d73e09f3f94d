// Made from crates/protocol by `UPDATE_WIRE=1 cargo test -p protocol --test typescript`.

/** Each thing's states, and the states that each may go to. */
export const STATES = {
  "registration key": {
    issued: ["consumed","expired","revoked"],
    consumed: [],
    expired: [],
    revoked: [],
  },
  "machine": {
    created: ["registered","revoked"],
    registered: ["revoked"],
    revoked: [],
  },
  "worker": {
    registered: ["ready","unavailable","removed"],
    ready: ["unavailable","removed"],
    unavailable: ["ready","removed"],
    removed: [],
  },
  "chat session": {
    requested: ["starting","failed","closed"],
    starting: ["ready","hibernated","failed","closed"],
    ready: ["busy","starting","hibernated","failed","closed"],
    busy: ["ready","starting","failed","closed"],
    hibernated: ["starting","failed","closed"],
    failed: ["starting","closed"],
    closed: [],
  },
  "turn": {
    queued: ["delivered","cancelled","failed"],
    delivered: ["streaming","completed","interrupted","failed","cancelled"],
    streaming: ["completed","interrupted","failed","cancelled"],
    completed: [],
    interrupted: [],
    failed: [],
    cancelled: [],
  },
  "ask": {
    pending: ["answered","expired","withdrawn"],
    answered: [],
    expired: [],
    withdrawn: [],
  },
  "command": {
    queued: ["leased","cancelled","expired"],
    leased: ["queued","running","failed","cancelled","expired"],
    running: ["queued","succeeded","failed","cancelled","expired"],
    succeeded: [],
    failed: [],
    cancelled: [],
    expired: [],
  },
  "schedule": {
    enabled: ["paused"],
    paused: ["enabled"],
  },
  "run": {
    due: ["queued","cancelled","skipped","missed"],
    queued: ["running","failed","cancelled","skipped"],
    running: ["queued","completed","interrupted","failed","cancelled"],
    completed: [],
    interrupted: [],
    failed: [],
    cancelled: [],
    skipped: [],
    missed: [],
  },
} as const;
