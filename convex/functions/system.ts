import { query } from "../model/builders";
import { WIRE_VERSION, WIRE_VERSION_MIN } from "../model/gen/wire";

/** What the backend speaks, for whoever asks whether they fit together. */
export const version = query("system.version", () =>
  Promise.resolve({ wireVersion: WIRE_VERSION, wireVersionMin: WIRE_VERSION_MIN }),
);
