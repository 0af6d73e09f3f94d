import type { Backend } from "../backend";
import { HUB_WAYS, hubAddress, hubBackend } from "../hub";
import { shareAmongTabs } from "./tabs";

/** The hub, over connections that all tabs of this browser share. */
export function sharedHubBackend(): Backend {
  return shareAmongTabs("hub", hubBackend, { ways: HUB_WAYS, machineAddress: hubAddress() });
}
