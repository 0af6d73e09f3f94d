import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Transform } from "node:stream";

const SLICE_MS = 50;

/** Git repositories over HTTP, as slow as a test wants. */
export class GitServer {
  /** How fast answers go out; changes hold for what is under way too. */
  bytesPerSecond = Infinity;
  readonly #directory: string;
  readonly #server: Server;

  private constructor(directory: string) {
    this.#directory = directory;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(directory: string): Promise<GitServer> {
    mkdirSync(directory, { recursive: true });
    const server = new GitServer(directory);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  /** Makes a repository with files that no packing makes smaller; gives its address. */
  repository(name: string, { files = 4, bytes = 256 * 1024 } = {}): string {
    const work = join(this.#directory, `${name}-work`);
    mkdirSync(work, { recursive: true });
    const git = (...args: string[]) => execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@t.test", ...args], { cwd: work, stdio: "pipe" });
    git("init", "--quiet", "--initial-branch=main");
    for (let index = 0; index < files; index += 1) writeFileSync(join(work, `data-${index}.bin`), randomBytes(bytes));
    writeFileSync(join(work, "README.md"), `# ${name}\n`);
    git("add", ".");
    git("commit", "--quiet", "--message", "All there is");
    git("branch", "side");
    git("clone", "--quiet", "--bare", ".", join(this.#directory, `${name}.git`));
    return this.url(name);
  }

  url(name: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${name}.git`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://git.test");
    if (url.pathname.startsWith("/private.git")) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="private"' }).end();
      return;
    }
    const backend = spawn("git", ["http-backend"], {
      env: {
        PATH: process.env["PATH"],
        GIT_PROJECT_ROOT: this.#directory,
        GIT_HTTP_EXPORT_ALL: "1",
        PATH_INFO: url.pathname,
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method ?? "GET",
        CONTENT_TYPE: request.headers["content-type"] ?? "",
        HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
        HTTP_GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
        GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
        REMOTE_ADDR: "127.0.0.1",
      },
      stdio: ["pipe", "pipe", "ignore"],
    });
    backend.stdin.on("error", () => undefined);
    request.pipe(backend.stdin);
    response.on("close", () => backend.kill());
    let head = Buffer.alloc(0);
    const begin = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end === -1) return;
      backend.stdout.off("data", begin);
      backend.stdout.pause();
      const headers = head.subarray(0, end).toString().split("\r\n").map((line) => line.split(/:\s*/, 2) as [string, string]);
      const status = headers.find(([name]) => name.toLowerCase() === "status")?.[1];
      response.writeHead(status === undefined ? 200 : Number.parseInt(status, 10), Object.fromEntries(headers.filter(([name]) => name.toLowerCase() !== "status")));
      const slow = this.#throttle();
      slow.pipe(response);
      slow.write(head.subarray(end + 4));
      backend.stdout.pipe(slow);
    };
    backend.stdout.on("data", begin);
  }

  #throttle(): Transform {
    const rate = () => this.bytesPerSecond;
    return new Transform({
      transform(chunk: Buffer, _encoding, done) {
        let rest = chunk;
        const next = () => {
          if (rate() === Infinity) {
            this.push(rest);
            done();
            return;
          }
          const size = Math.max(1, Math.floor((rate() * SLICE_MS) / 1_000));
          this.push(rest.subarray(0, size));
          rest = rest.subarray(size);
          if (rest.length === 0) setTimeout(done, SLICE_MS);
          else setTimeout(next, SLICE_MS);
        };
        next();
      },
    });
  }
}
