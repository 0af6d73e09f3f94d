import { asBackendError, BackendError, noSuchWay, type Auth, type Me, type WaysIn } from "../backend";
import type { ConvexConfig, ProviderConfig } from "../config";
import type { ConvexConnection, SignIn } from "./connection";
import type { Provider, Tokens } from "./provider";
import { readToken } from "./token";

const STORE_KEY = "orchestrator.sign-in";
const LINK_COMMAND = "orchestrator link";

/** What the browser keeps of a sign-in, for this deployment only. */
interface Stored extends Tokens {
  url: string;
  /** It came from the provider, not by a link. */
  provider?: boolean;
}

export function convexWays({ auth }: ConvexConfig): WaysIn {
  return { password: false, provider: auth ? new URL(auth.issuer).host : null, link: "until_it_expires" };
}

/** How people sign in on Convex: with a token of a link or of a provider, kept in this browser. */
export class ConvexSignIn implements Auth {
  readonly ways: WaysIn;
  readonly #config: ConvexConfig;
  readonly #connection: ConvexConnection;
  readonly #openProvider: (config: ProviderConfig) => Promise<Provider>;
  #provider: Promise<Provider> | null = null;
  #stored: Stored | null = null;

  constructor(
    config: ConvexConfig,
    connection: ConvexConnection,
    openProvider: (config: ProviderConfig) => Promise<Provider>,
  ) {
    this.ways = convexWays(config);
    this.#config = config;
    this.#connection = connection;
    this.#openProvider = openProvider;
    window.addEventListener("storage", this.#onStorage);
    this.#begin(this.#read());
  }

  me = async (): Promise<Me | null> => {
    const state = await this.#connection.settled();
    const claims = this.#stored && readToken(this.#stored.token);
    if (state.kind === "signed_out" || !this.#stored || !claims) return null;
    // A provider's tokens are exchanged for new ones without the person.
    return { person: claims.person, hasPassword: false, endsAt: this.#stored.refreshToken ? null : claims.expiresAt };
  };

  signInWithToken = async (token: string): Promise<void> => {
    if (!readToken(token))
      throw new BackendError(
        "unauthenticated",
        `This sign-in link is not complete. Run “${LINK_COMMAND}” and open the link that it prints as a whole.`,
      );
    await this.#signIn({ url: this.#config.url, token });
  };

  providerAddress = async (): Promise<string> => (await this.#askProvider()).address();

  signInFromProvider = async (address: string): Promise<void> => {
    const provider = await this.#askProvider();
    await this.#signIn({ url: this.#config.url, provider: true, ...(await provider.finish(address)) });
  };

  signInWithPassword = noSuchWay;
  setPassword = noSuchWay;

  signOut = (): Promise<void> => {
    this.#keep(null);
    this.#connection.signOut();
    return Promise.resolve();
  };

  close(): void {
    window.removeEventListener("storage", this.#onStorage);
  }

  async #signIn(stored: Stored): Promise<void> {
    this.#keep(stored);
    this.#begin(stored);
    const state = await this.#connection.settled();
    if (state.kind === "signed_out") throw new BackendError("unauthenticated", state.why ?? "You are signed out.");
  }

  /** Connects as whom a token names, or as nobody. */
  #begin(stored: Stored | null): void {
    this.#stored = stored;
    if (!stored) {
      this.#connection.signOut();
      return;
    }
    const signIn: SignIn = {
      fetchToken: (force) => this.#fetchToken(stored, force),
      expiresAt: () => (this.#stored ? (readToken(this.#stored.token)?.expiresAt ?? null) : null),
      refused: () => this.#whyRefused(),
    };
    this.#connection.begin(signIn);
  }

  /** A link's token is all there is; the provider's is exchanged when it is over. */
  async #fetchToken(began: Stored, force: boolean): Promise<string | null> {
    const stored = this.#stored;
    // Somebody else has signed in meanwhile.
    if (!stored || stored.provider !== began.provider) return null;
    const expiresAt = readToken(stored.token)?.expiresAt ?? null;
    const isOver = expiresAt !== null && expiresAt <= Date.now();
    if (!stored.provider || (!force && !isOver)) return stored.token;
    try {
      const tokens = await (await this.#askProvider()).refresh(stored);
      if (!tokens) return isOver ? null : stored.token;
      this.#keep({ ...stored, ...tokens });
      return tokens.token;
    } catch (error) {
      // Not reachable just now: what there is may do, and the deployment decides.
      if (asBackendError(error).isRetryable) return stored.token;
      return null;
    }
  }

  #whyRefused(): string {
    const stored = this.#stored;
    if (stored?.provider) return `Your sign-in with ${this.ways.provider ?? "the provider"} has ended. Sign in again.`;
    const expiresAt = stored && readToken(stored.token)?.expiresAt;
    const again = `Run “${LINK_COMMAND}” where the orchestrator was set up and open the link that it prints.`;
    if (expiresAt != null && expiresAt <= Date.now())
      return `Your sign-in expired on ${new Date(expiresAt).toLocaleString(undefined, WHEN)}. ${again}`;
    return (
      `The Convex deployment does not accept this sign-in: its key was replaced, or the link is for another ` +
      `deployment. ${again}`
    );
  }

  #askProvider(): Promise<Provider> {
    const { auth } = this.#config;
    if (!auth) return noSuchWay();
    this.#provider ??= this.#openProvider(auth);
    return this.#provider;
  }

  #read(): Stored | null {
    try {
      const stored = JSON.parse(window.localStorage.getItem(STORE_KEY) ?? "null") as Stored | null;
      return stored?.url === this.#config.url && readToken(stored.token) ? stored : null;
    } catch {
      return null;
    }
  }

  #keep(stored: Stored | null): void {
    this.#stored = stored;
    try {
      if (stored) window.localStorage.setItem(STORE_KEY, JSON.stringify(stored));
      else window.localStorage.removeItem(STORE_KEY);
    } catch {
      // No room or not allowed: the sign-in lasts as long as the page.
    }
  }

  /** Another page of this browser has signed in or out. */
  readonly #onStorage = ({ key }: StorageEvent): void => {
    if (key !== STORE_KEY && key !== null) return;
    const stored = this.#read();
    const before = this.#stored && readToken(this.#stored.token)?.person.id;
    const now = stored && readToken(stored.token)?.person.id;
    if (before === now && this.#connection.state.get().kind !== "signed_out") this.#stored = stored;
    else this.#begin(stored);
  };
}

const WHEN: Intl.DateTimeFormatOptions = { dateStyle: "long", timeStyle: "short" };
