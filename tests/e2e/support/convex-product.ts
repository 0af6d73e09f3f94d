import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Bridge } from "./bridge.ts";
import type { Home } from "./home.ts";
import { Up, type Product } from "./product.ts";

const KEY_FILE = ".local/share/opencode-orchestrator/convex-key.json";

/** On Convex: the functions run in the bridge, on a computer of its own as far as the product can tell. */
export class ConvexProduct extends Up implements Product {
  readonly backend = "convex";
  // The lease is 45 s, and nobody sees the connection but Convex.
  readonly lossShownMs = 75_000;
  // An append gathers for half a second while somebody watches.
  readonly growthSeen = 4;
  readonly bridge: Bridge;

  private constructor(home: Home, bridge: Bridge, env: NodeJS.ProcessEnv) {
    super(home, ["--convex", bridge.url], env);
    this.bridge = bridge;
  }

  /** `provider`: who signs people in besides the owner's links. */
  static async start(home: Home, bridgeHome: Home, provider?: { issuer: string; clientId: string }): Promise<ConvexProduct> {
    const owner = JSON.parse(await mintKey(home)) as object[];
    const auth = provider === undefined ? owner : [...owner, { domain: provider.issuer, applicationID: provider.clientId }];
    const env = provider === undefined ? {} : { ORCHESTRATOR_CONVEX_ISSUER: provider.issuer, ORCHESTRATOR_CONVEX_CLIENT_ID: provider.clientId };
    const product = new ConvexProduct(home, await Bridge.start(bridgeHome, { auth: JSON.stringify(auth) }), env);
    await product.ready();
    return product;
  }

  get machineAddress(): string {
    return `convex+${this.bridge.url}`;
  }

  override async killAll(): Promise<void> {
    await super.killAll();
    await this.bridge.refuse(true);
  }

  override async startAgain(): Promise<void> {
    await this.bridge.refuse(false);
    await super.startAgain();
  }

  /** A link that is good for so long only, by the owner's own key. */
  linkFor(seconds: number): string {
    return `${this.url}/sign-in#token=${OwnerKey.in(this.home).token(seconds)}`;
  }
}

interface KeyFile {
  issuer: string;
  subject: string;
  keyId: string;
  privateKey: string;
}

/** The key of a computer's owner, for tokens that the command line would not make. */
export class OwnerKey {
  readonly #file: KeyFile;

  private constructor(file: KeyFile) {
    this.#file = file;
  }

  static in(home: Home): OwnerKey {
    return new OwnerKey(JSON.parse(readFileSync(join(home.path, KEY_FILE), "utf8")) as KeyFile);
  }

  /** A token that is good for so long; for less than nothing, one that was. */
  token(seconds: number): string {
    const { issuer, subject, keyId, privateKey } = this.#file;
    const now = Math.floor(Date.now() / 1_000);
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { iss: issuer, sub: subject, aud: "orchestrator", name: "owner", iat: now - 600, exp: now + seconds };
    const text = `${part({ alg: "ES256", typ: "JWT", kid: keyId })}.${part(claims)}`;
    const key = createPrivateKey({ key: Buffer.from(privateKey, "base64"), format: "der", type: "pkcs8" });
    return `${text}.${sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  }
}

/** Makes the owner's key; gives what the deployment has to know of it. */
export async function mintKey(home: Home): Promise<string> {
  const { stdout, stderr, code } = await home.run(["convex", "mint-key", "--demo"]);
  if (code !== 0) throw new Error(`no key: ${stderr}`);
  return stdout.trim();
}
