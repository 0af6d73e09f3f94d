import type { Home } from "./home.ts";
import { Up, type Product } from "./product.ts";

/** On the hub, which `orchestrator up` is itself. */
export class HubProduct extends Up implements Product {
  readonly backend = "hub";
  // The lease is 45 s: this soon, only the broken connection can have told.
  readonly lossShownMs = 10_000;
  readonly growthSeen = 20;

  static async start(home: Home): Promise<HubProduct> {
    const product = new HubProduct(home, []);
    await product.ready();
    return product;
  }

  get machineAddress(): string {
    return this.url;
  }
}
