import { BackendError, type Args, type Reply } from "../backend";
import type {
  CommandError,
  CommandErrorCode,
  CommandId,
  CommandResult,
  CommandSummary,
  CommandView,
  DirectoryView,
  MachineId,
  Operation,
} from "../wire.gen";
import { at, exampleRoot, file, folder, page, type FakeFolder, type FakeNode } from "./files";
import type { FakeWorld } from "./world";

const ACTIVITY_PAGE = 50;
const FILE_TEXT_MAX = 128 * 1024;
const STEP_MS = 80;
const LIFE_MS = 86_400_000;
const CLONE_OBJECTS = 4_200;
const PHASES = ["Counting objects", "Receiving objects", "Resolving deltas", "Checking out files"];

class Refusal extends Error {
  readonly code: CommandErrorCode;
  constructor(code: CommandErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The directories of the fake's machines, and the commands that read and change them. */
export class FakeDirectories {
  readonly commands: CommandView[] = [];
  readonly #roots = new Map<MachineId, FakeFolder>();
  readonly #listings = new Map<string, DirectoryView & { commandId: CommandId }>();
  readonly #trash = new Map<CommandId, { path: string; node: FakeNode }>();
  readonly #world: FakeWorld;
  readonly #pace: number;

  constructor(world: FakeWorld, pace: number) {
    this.#world = world;
    this.#pace = pace;
    // A machine that comes back takes what waited for it.
    world.onChange(() => {
      for (const row of this.commands) if (row.command.state === "queued") this.#take(row);
    });
  }

  root(machineId: MachineId): FakeFolder {
    const root = this.#roots.get(machineId) ?? exampleRoot();
    this.#roots.set(machineId, root);
    return root;
  }

  readonly functions = {
    "machine.directory": ({ machineId, directory, hidden }: Args<"machine.directory">): DirectoryView => {
      const known = this.#listings.get(listingKey(machineId, directory, hidden));
      if (!known) return {};
      return { listing: known.listing, asOf: known.asOf, command: this.#command(known.commandId).command };
    },
    "machine.activity": ({ machineId, reads, before }: Args<"machine.activity">): Reply<"machine.activity"> => {
      const all = this.commands
        .map(({ command }) => command)
        .filter((command) => command.machineId === machineId && (reads || !isRead(command.operation)))
        .filter((command) => before == null || command.id < before)
        .reverse();
      return { commands: all.slice(0, ACTIVITY_PAGE), hasEarlier: all.length > ACTIVITY_PAGE };
    },
    "machine.command.request": ({ machineId, operation }: Args<"machine.command.request">): CommandView => {
      if (operation.kind === "clone" && /:\/\/[^/]*:[^/]*@/.test(operation.url))
        throw new BackendError("invalid", "The address has a password in it. Leave it out.");
      const now = Date.now();
      const row: CommandView = {
        command: {
          id: this.#world.id("cmd"),
          machineId,
          requestedBy: this.#world.owner,
          operation,
          state: "queued",
          attempt: 0,
          cancelRequested: false,
          createdAt: now,
          expiresAt: now + LIFE_MS,
        },
        result: null,
      };
      this.commands.push(row);
      this.#keep(row);
      this.#take(row);
      return row;
    },
    "machine.command.cancel": ({ commandId }: Args<"machine.command.cancel">): CommandView => {
      const row = this.#command(commandId);
      if (row.command.state === "queued") this.#end(row, "cancelled");
      else if (row.command.endedAt != null) return row;
      else if (this.#isConnected(row.command.machineId)) row.command = { ...row.command, cancelRequested: true };
      else {
        const message = "Stopped while the machine was away; what it had begun may be finished or half-done there.";
        this.#end(row, "cancelled", { code: "interrupted", message });
      }
      return row;
    },
    "machine.command.view": ({ commandId }: Args<"machine.command.view">): CommandView => this.#command(commandId),
  };

  #isConnected(machineId: MachineId): boolean {
    const presence = this.#world.machines.find(({ id }) => id === machineId)?.presence.state;
    return presence === "online" || presence === "draining";
  }

  #command(id: CommandId): CommandView {
    const found = this.commands.find(({ command }) => command.id === id);
    if (!found) throw new BackendError("not_found", "This command does not exist.");
    return found;
  }

  #keep({ command, result }: CommandView): void {
    const { operation, machineId, id } = command;
    if (operation.kind !== "list" || operation.filter || operation.after) return;
    const key = listingKey(machineId, operation.directory, operation.hidden);
    const listed = result?.kind === "listing" ? { listing: result, asOf: Date.now() } : {};
    this.#listings.set(key, { ...this.#listings.get(key), ...listed, commandId: id });
  }

  #take(row: CommandView): void {
    const machine = this.#world.machines.find(({ id }) => id === row.command.machineId);
    if (machine?.presence.state !== "online") return;
    row.command = { ...row.command, state: "leased", attempt: 1, startedAt: Date.now() };
    if (row.command.operation.kind === "clone") void this.#clone(row);
    else setTimeout(() => this.#run(row), STEP_MS * this.#pace);
  }

  #run(row: CommandView): void {
    try {
      row.result = this.#perform(row.command);
      this.#end(row, "succeeded");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#end(row, "failed", { code: error.code, message: error.message });
    }
  }

  #end(row: CommandView, state: CommandSummary["state"], error?: CommandError): void {
    row.command = { ...row.command, state, error: error ?? null, progress: null, endedAt: Date.now() };
    this.#keep(row);
    this.#world.changed();
  }

  #perform({ machineId, operation, id }: CommandSummary): CommandResult {
    const root = this.root(machineId);
    switch (operation.kind) {
      case "list":
        return { kind: "listing", ...page(directory(root, operation.directory), operation) };
      case "inspect_repositories":
        return {
          kind: "repositories",
          repositories: operation.directories.flatMap((path) => {
            const node = at(root, path);
            if (node?.kind !== "directory" || !node.git) return [];
            return { directory: path, branch: node.git.branch, changedFiles: node.git.changed };
          }),
        };
      case "read_file": {
        const node = at(root, operation.path) ?? missing(operation.path);
        if (node.kind !== "file") throw new Refusal("wrong_kind", "This is not a file.");
        const { text, size, binary } = node;
        const truncated = size > FILE_TEXT_MAX;
        return { kind: "file", text: text.slice(0, FILE_TEXT_MAX), size, truncated, isBinary: binary };
      }
      case "make_directory":
        if (!at(root, operation.path)) put(root, operation.path, folder());
        return { kind: "done" };
      case "rename": {
        const node = at(root, operation.from) ?? missing(operation.from);
        put(root, operation.to, node);
        drop(root, operation.from);
        return { kind: "done" };
      }
      case "trash":
        this.#trash.set(id, { path: operation.path, node: at(root, operation.path) ?? missing(operation.path) });
        drop(root, operation.path);
        return { kind: "done" };
      case "restore": {
        const trashed = this.#trash.get(operation.trashed);
        if (!trashed) throw new Refusal("not_found", "It is no longer in the trash.");
        put(root, trashed.path, trashed.node);
        this.#trash.delete(operation.trashed);
        return { kind: "done" };
      }
      case "remove_worktree": {
        const worktree = this.#world.chat(operation.chatSessionId)?.summary.worktree;
        if (!worktree) throw new Refusal("not_found", "This chat has no worktree.");
        if (!operation.force) throw new Refusal("unsaved_work", "2 files in it are changed and not committed.");
        worktree.state = "removed";
        return { kind: "done" };
      }
      case "clone":
      case "unknown":
        throw new Refusal("other", "The fake machine does not know how to do that.");
    }
  }

  async #clone(row: CommandView): Promise<void> {
    const { operation, machineId } = row.command;
    if (operation.kind !== "clone") return;
    const fail = (code: CommandErrorCode, message: string) => {
      this.#end(row, "failed", { code, message });
    };
    for (const phase of PHASES) {
      for (let percent = 0; percent <= 100; percent += 10) {
        do await new Promise((resolve) => setTimeout(resolve, STEP_MS * 2 * this.#pace));
        while (row.command.endedAt == null && !this.#isConnected(machineId));
        if (row.command.endedAt != null) return;
        if (row.command.cancelRequested) {
          this.#end(row, "cancelled");
          return;
        }
        const done = Math.round((CLONE_OBJECTS * percent) / 100);
        const bytes = { bytes: done * 2_600, bytesPerSecond: 3_400_000 };
        const progress = { phase, percent, objectsDone: done, objectsTotal: CLONE_OBJECTS, ...bytes };
        row.command = { ...row.command, state: "running", progress };
        this.#world.changed();
      }
      if (operation.url.includes("private")) {
        fail(
          "authentication_needed",
          "The repository asks for credentials and this machine has none for it. Set up an ssh key or a credential helper there, then try again.",
        );
        return;
      }
    }
    try {
      const branch = operation.branch ?? "main";
      put(this.root(machineId), operation.path, folder({ "README.md": file("# Cloned\n") }, { branch, changed: 0 }));
      row.result = { kind: "cloned", branch };
      this.#end(row, "succeeded");
    } catch (error) {
      if (error instanceof Refusal) fail(error.code, error.message);
    }
  }
}

function isRead({ kind }: Operation): boolean {
  return kind === "list" || kind === "inspect_repositories" || kind === "read_file";
}

function listingKey(machineId: MachineId, path: string, hidden: boolean): string {
  return JSON.stringify([machineId, path, hidden]);
}

function missing(path: string): never {
  throw new Refusal("not_found", `Nothing is at “${path}”. It may have been moved or deleted; refresh the folder.`);
}

function directory(root: FakeFolder, path: string): FakeFolder {
  const node = at(root, path) ?? missing(path);
  if (node.kind !== "directory") throw new Refusal("wrong_kind", `“${path}” is not a folder.`);
  return node;
}

function put(root: FakeFolder, path: string, node: FakeNode): void {
  const cut = path.lastIndexOf("/");
  const parent = directory(root, path.slice(0, Math.max(cut, 0)));
  const name = path.slice(cut + 1);
  if (parent.children.has(name))
    throw new Refusal("already_exists", `“${path}” is there already. Choose another name.`);
  parent.children.set(name, node);
}

function drop(root: FakeFolder, path: string): void {
  const cut = path.lastIndexOf("/");
  directory(root, path.slice(0, Math.max(cut, 0))).children.delete(path.slice(cut + 1));
}
