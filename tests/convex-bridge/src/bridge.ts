/** The bridge as a library: a server on a port, and what a test may do to it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { JSONValue } from "convex/values";
import { WebSocketServer, type WebSocket } from "ws";
import { Authenticator, type Provider } from "./auth.ts";
import { realTimeout, RealClock, VirtualClock, type Clock } from "./clock.ts";
import { isControl, serveControl } from "./control.ts";
import { Counts } from "./counts.ts";
import { Engine } from "./engine.ts";
import type { ErrorStyle } from "./errors.ts";
import { Faults } from "./faults.ts";
import { loadFunctions } from "./functions.ts";
import { serveHttp } from "./http.ts";
import { Repeats } from "./repeats.ts";
import { Session, type Shared } from "./session.ts";

export type Options = {
  /** The folder of the functions, with `schema.ts`. */
  functions: string;
  host?: string;
  /** 0, the default, takes a free one. */
  port?: number;
  /** What `ORCHESTRATOR_AUTH` holds. */
  providers?: readonly Provider[];
  /** Default: production. */
  errors?: ErrorStyle;
  /** Time stands still but for `advance`, and begins here (ms since the epoch). */
  virtualClockAt?: number;
  /** Serves `/_bridge/…`, to loopback only. */
  control?: boolean;
  /** Where the real texts of errors go; default: stderr. */
  log?: (text: string) => void;
};

export async function start(options: Options): Promise<Bridge> {
  const { virtualClockAt, providers = [], errors = "production" } = options;
  const log = options.log ?? ((text: string): void => void process.stderr.write(`${text}\n`));
  const clock = virtualClockAt === undefined ? new RealClock() : new VirtualClock(virtualClockAt);
  const counts = new Counts();
  const nowMs = (): number => clock.now();
  const shared: Shared = {
    engine: new Engine(await loadFunctions(options.functions), clock, counts, log),
    authenticator: new Authenticator(providers, nowMs),
    counts,
    faults: new Faults(),
    repeats: new Repeats(),
    style: errors,
    nowMs,
    log,
  };
  const bridge = new Bridge(shared, clock, options.control === true);
  await bridge.listen(options.host ?? "127.0.0.1", options.port ?? 0);
  return bridge;
}

export class Bridge {
  private server: Server = createServer();
  private readonly sockets = new WebSocketServer({ noServer: true });
  private readonly sessions = new Set<Session>();
  private readonly connections = new Set<Socket>();
  /** Those that control came by. */
  private readonly controls = new WeakSet<Socket>();
  private address: { host: string; port: number } = { host: "127.0.0.1", port: 0 };
  private refusing = false;

  constructor(
    private readonly shared: Shared,
    readonly clock: Clock,
    private readonly control: boolean,
  ) {}

  get url(): string {
    return `http://${this.address.host}:${this.address.port}`;
  }

  get counts(): Counts {
    return this.shared.counts;
  }

  get faults(): Faults {
    return this.shared.faults;
  }

  /** The newest commit's timestamp. */
  get ts(): bigint {
    return this.shared.engine.ts;
  }

  /** The open connections of the sync protocol, and the queries subscribed to on them. */
  get load(): { sessions: number; subscriptions: number } {
    const subscriptions = [...this.sessions].reduce((sum, session) => sum + session.subscriptions, 0);
    return { sessions: this.sessions.size, subscriptions };
  }

  tables(): Promise<Record<string, JSONValue>> {
    return this.shared.engine.tables();
  }

  /** Moves the virtual clock on; scheduled functions run at their times, in order. */
  async advance(ms: number): Promise<void> {
    if (!(this.clock instanceof VirtualClock)) throw new Error("The bridge was started without a virtual clock");
    await this.clock.advance(ms);
  }

  /** Sets the virtual clock on or back; what is due runs at the new time. */
  async jump(ms: number): Promise<void> {
    if (!(this.clock instanceof VirtualClock)) throw new Error("The bridge was started without a virtual clock");
    await this.clock.jump(ms);
  }

  /** Comes back when nothing runs, and every connected client has taken in all that it was sent. */
  async settled(): Promise<void> {
    const before = JSON.stringify(this.counts.snapshot());
    await this.shared.engine.exclusive(() => Promise.resolve());
    await Promise.all([...this.sessions].map((session) => session.flushed()));
    const quiet = this.shared.engine.idle && [...this.sessions].every((session) => session.idle);
    // Quiet only counts when nothing at all went on meanwhile.
    if (!quiet || JSON.stringify(this.counts.snapshot()) !== before) await this.settled();
  }

  /** Cuts every connection but those of control; clients may come back at once. */
  cutAll(): void {
    for (const session of this.sessions) session.cut();
    for (const socket of this.connections) if (!this.controls.has(socket)) socket.destroy();
  }

  /** From now on every request but control's is cut off, until told otherwise. */
  refuse(on: boolean): void {
    this.refusing = on;
    if (on) for (const session of this.sessions) session.cut();
  }

  /** As a restart of the backend: connections end, nobody listens for `downMs`, then again at the same port. */
  async restart(downMs = 0): Promise<void> {
    // Not awaited: control's own connection may stay, and is served as before.
    this.server.close();
    this.cutAll();
    if (downMs > 0) await realTimeout(downMs);
    await this.listen(this.address.host, this.address.port);
  }

  async listen(host: string, port: number): Promise<void> {
    const server = createServer((request, response) => void this.serve(request, response));
    server.on("upgrade", (request, socket, head) => this.upgrade(request, socket, head));
    server.on("connection", (socket: Socket) => {
      this.connections.add(socket);
      socket.on("close", () => this.connections.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, () => resolve());
    });
    this.server = server;
    this.address = { host, port: (server.address() as AddressInfo).port };
  }

  async close(): Promise<void> {
    this.clock.close();
    const closed = new Promise<void>((resolve) => void this.server.close(() => resolve()));
    for (const session of this.sessions) session.cut();
    for (const socket of this.connections) socket.destroy();
    await closed;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (isControl(request)) {
      this.controls.add(request.socket);
      return this.control ? serveControl(request, response, this) : void response.writeHead(404).end();
    }
    if (this.refusing) return void request.socket.destroy();
    await serveHttp(request, response, this.shared);
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = /^\/api\/(?:([^/]+)\/)?sync$/.exec(new URL(request.url ?? "/", "http://bridge").pathname);
    if (this.refusing || path === null) return void socket.destroy();
    // JavaScript clients have their version in the path; they know transitions in parts.
    const knowsParts = path[1] !== undefined;
    this.sockets.handleUpgrade(request, socket, head, (open: WebSocket) => {
      const session = new Session(open, this.shared, knowsParts);
      this.sessions.add(session);
      open.on("close", () => this.sessions.delete(session));
    });
  }
}
