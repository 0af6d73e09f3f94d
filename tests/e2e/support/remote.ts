import { ConvexProduct } from "./convex-product.ts";
import type { Home } from "./home.ts";
import type { Started } from "./process.ts";
import type { BackendKind } from "./product.ts";

/** A backend on another computer than the machine that a test starts. */
export interface Remote {
  /** The link that signs in. */
  readonly link: string;
  /** What a machine is given as `--backend`. */
  readonly address: string;
  /** It goes away at once; what it has stays. */
  die(): Promise<void>;
  comeBack(): Promise<void>;
}

export function startRemote(backend: BackendKind, newHome: () => Home): Promise<Remote> {
  return backend === "hub" ? RemoteHub.start(newHome()) : RemoteConvex.start(newHome);
}

/** A hub without a machine of its own. */
class RemoteHub implements Remote {
  readonly #home: Home;
  #process: Started;
  link = "";
  address = "";

  private constructor(home: Home) {
    this.#home = home;
    this.#process = home.start(["hub", "--listen", "127.0.0.1:0"]);
  }

  static async start(home: Home): Promise<RemoteHub> {
    const remote = new RemoteHub(home);
    await remote.#ready();
    return remote;
  }

  async die(): Promise<void> {
    await this.#process.kill();
  }

  async comeBack(): Promise<void> {
    this.#process = this.#home.start(["hub", "--listen", new URL(this.address).host]);
    await this.#ready();
  }

  async #ready(): Promise<void> {
    const [, link = ""] = await this.#process.says("stdout", /^(http\S+)$/m);
    this.link = link;
    this.address = new URL(link).origin;
  }
}

/** A deployment; the page for it is served by another computer, which is one of its machines. */
class RemoteConvex implements Remote {
  readonly #product: ConvexProduct;

  private constructor(product: ConvexProduct) {
    this.#product = product;
  }

  static async start(newHome: () => Home): Promise<RemoteConvex> {
    const bridgeHome = newHome();
    return new RemoteConvex(await ConvexProduct.start(newHome(), bridgeHome));
  }

  get link(): string {
    return this.#product.link;
  }

  get address(): string {
    return this.#product.machineAddress;
  }

  die(): Promise<void> {
    return this.#product.bridge.refuse(true);
  }

  comeBack(): Promise<void> {
    return this.#product.bridge.refuse(false);
  }
}
