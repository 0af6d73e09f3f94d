/** The functions behind the bridge, reached as in production: persons and machines through the official clients. */
import { fileURLToPath } from "node:url";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { ConvexError, type JSONValue } from "convex/values";
import { start, type Bridge } from "../src/bridge.ts";
import { dump } from "../vectors/dump.ts";
import { START_MS, type Json, type JsonObject } from "../vectors/format.ts";
import { Refused, type Actor, type Append, type Subject } from "../vectors/run.ts";
import { FUNCTIONS } from "../../../convex/model/gen/wire.ts";
import { issuer, mutation, query } from "./support.ts";

const FOLDER = fileURLToPath(new URL("../../../convex/functions", import.meta.url));
/** Tokens outlive every scenario; some wait for more than a year. */
const TOKEN_S = 10 * 366 * 86_400;

const { provider, token } = await issuer();

export class BridgeSubject implements Subject {
  private readonly clients = new Map<string, ConvexClient>();
  private readonly watches = new Map<string, { newest: Json | Error | undefined }>();
  private readonly http: ConvexHttpClient;

  private constructor(
    readonly bridge: Bridge,
    private readonly defects: string[],
  ) {
    this.http = new ConvexHttpClient(bridge.url, { logger: false });
  }

  static async start(): Promise<BridgeSubject> {
    const defects: string[] = [];
    const log = (text: string): void => void defects.push(text);
    const setup = {
      functions: FOLDER,
      providers: [provider],
      virtualClockAt: START_MS,
      errors: "development" as const,
    };
    return new BridgeSubject(await start({ ...setup, log }), defects);
  }

  async close(): Promise<void> {
    await Promise.all([...this.clients.values()].map((client) => client.close()));
    await this.bridge.close();
  }

  async advance(ms: number): Promise<void> {
    await this.bridge.advance(ms);
    this.refuseDefects();
  }

  async jump(ms: number): Promise<void> {
    await this.bridge.jump(ms);
    this.refuseDefects();
  }

  async call(actor: Actor, name: string, args: Json, key: string | undefined): Promise<Json> {
    return this.invoke(actor, name, { args, ...(key === undefined ? {} : { key }) });
  }

  async append({ actor, turn, epoch, seq, chunks }: Append): Promise<void> {
    const args = { turnId: turn, epoch, seq, chunks: JSON.stringify(chunks) };
    await this.invoke(actor, "worker.chat.writeChunk", { args }, false);
  }

  async read(actor: Actor, turn: string): Promise<Json[]> {
    const chunks: Json[] = [];
    for (let after = "-1"; ;) {
      const page = (await this.invoke(actor, "worker.chat.chunks", { args: { turnId: turn, after } }, true)) as {
        batches: string[];
        next: string;
        upToDate: boolean;
      };
      chunks.push(...page.batches.flatMap((batch) => JSON.parse(batch) as Json[]));
      if (page.upToDate) return chunks;
      after = page.next;
    }
  }

  /** Comes back when the watch has its first value, or its refusal. */
  async watch(name: string, actor: Actor, path: string, args: Json): Promise<void> {
    const watch: { newest: Json | Error | undefined } = { newest: undefined };
    this.watches.set(name, watch);
    const client = await this.clientOf(actor);
    await new Promise<void>((resolve) => {
      const take = (value: Json | Error): void => {
        watch.newest = value;
        resolve();
      };
      client.onUpdate(query(pathOf(path)), envelopeOf(actor, { args }), take, take);
    });
  }

  async newest(name: string): Promise<Json> {
    await this.bridge.settled();
    this.refuseDefects();
    const newest = this.watches.get(name)?.newest;
    if (newest === undefined) throw new Error(`there is no watch ${name}`);
    if (newest instanceof Error) throw refusalIn(newest);
    return newest;
  }

  async state(): Promise<JsonObject> {
    return dump((await this.bridge.tables()) as Record<string, JsonObject[]>);
  }

  private async invoke(actor: Actor, name: string, body: JsonObject, isQuery = isQueryOf(name)): Promise<Json> {
    const [path, args] = [pathOf(name), envelopeOf(actor, body)];
    // A client answers a query that it also watches from what it has seen last.
    if (isQuery) await this.bridge.settled();
    const client = actor.kind === "person" ? await this.clientOf(actor) : this.http;
    let answer: Json;
    try {
      const asked = isQuery ? client.query(query(path), args) : client.mutation(mutation(path), args);
      answer = (await asked) as Json;
    } catch (error) {
      throw refusalIn(error);
    } finally {
      // What a call goes on with in transactions of its own is done before anybody looks.
      await this.bridge.advance(0);
    }
    this.refuseDefects();
    return answer;
  }

  private async clientOf(actor: Actor): Promise<ConvexClient> {
    const name = actor.kind === "person" ? actor.name : "";
    let client = this.clients.get(name);
    if (client === undefined) {
      client = new ConvexClient(this.bridge.url, { logger: false, unsavedChangesWarning: false });
      this.clients.set(name, client);
      if (name !== "") {
        const issued = START_MS / 1000;
        const signed = await token({ sub: name, iat: issued, exp: issued + TOKEN_S });
        client.setAuth(() => Promise.resolve(signed));
      }
    }
    return client;
  }

  /** What failed without a refusal, also in a scheduled function, is a defect. */
  private refuseDefects(): void {
    const { AuthError, FatalError } = this.bridge.counts.snapshot().sent;
    const [first] = this.defects.splice(0);
    if (first !== undefined) throw new Error(first);
    if (AuthError !== undefined || FatalError !== undefined) throw new Error("a client was turned away");
  }
}

/** `worker.chat.sendMessage` is `worker/chat:sendMessage`. */
function pathOf(name: string): string {
  return name.replace(/\.(?=[^.]*$)/, ":").replaceAll(".", "/");
}

function isQueryOf(name: string): boolean {
  return (FUNCTIONS as Record<string, { kind: string }>)[name]?.kind === "query";
}

function envelopeOf(actor: Actor, body: JsonObject): Record<string, JSONValue> {
  return actor.kind === "machine" ? { ...body, token: actor.token } : body;
}

function refusalIn(error: unknown): unknown {
  return error instanceof ConvexError ? new Refused(error.data as JsonObject) : error;
}
