import { WIRE_VERSION, WIRE_VERSION_MIN } from "../wire.gen";

/** What `system:version` tells of a deployment. */
export interface DeployedVersion {
  wireVersion: number;
  wireVersionMin: number;
}

const DEPLOY_COMMAND = "npx convex deploy";

/** What is to be done before this page and that deployment understand each other; null: they do. */
export function upgradeNeeded({ wireVersion, wireVersionMin }: DeployedVersion): string | null {
  if (wireVersion < WIRE_VERSION_MIN)
    return deploymentIsOld(`it speaks version ${wireVersion} of the protocol, the page needs ${WIRE_VERSION_MIN}`);
  if (wireVersionMin > WIRE_VERSION)
    return (
      `This page is too old for the Convex deployment: it speaks version ${WIRE_VERSION} of the protocol, the ` +
      `deployment needs ${wireVersionMin}. Update the orchestrator that serves the page (git pull, then ./start), ` +
      `then reload.`
    );
  return null;
}

/** The functions of the deployment are older than the page, which `how` shows. */
export function deploymentIsOld(how: string): string {
  return (
    `The Convex deployment is too old for this page: ${how}. Deploy the functions of this version: run ` +
    `“${DEPLOY_COMMAND}” in the orchestrator's folder convex/, then reload.`
  );
}
