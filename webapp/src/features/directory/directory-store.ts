import { asBackendError, type Backend, type BackendError, type Observable } from "@/lib/backend/backend";
import { newIdempotencyKey } from "@/lib/backend/idempotency";
import {
  LIMITS,
  type CommandSummary,
  type CommandView,
  type DirectoryEntry,
  type Listing,
  type MachineId,
  type Repository,
  type Timestamp,
} from "@/lib/backend/wire.gen";

import { hasEnded, requestAndFollow } from "./commands";
import { joinPath } from "./paths";

/** What is looked at: a directory, or those of its entries whose names contain a text. */
export interface Place {
  directory: string;
  filter: string;
}

/** A directory as far as it is known. */
export interface Folder extends Place {
  /** Null until a listing has come. */
  entries: readonly DirectoryEntry[] | null;
  total: number;
  next: string | null;
  asOf: Timestamp | null;
  /** The latest command to list it. */
  command: CommandSummary | null;
  /** Why it could not be asked for, or why it can't be followed. */
  error: BackendError | null;
  more: { pending: boolean; problem: string | null };
}

export interface Directories {
  folders: ReadonlyMap<string, Folder>;
  /** By directory; null while git is being asked, or where it had nothing to say. */
  repositories: ReadonlyMap<string, Repository | null>;
}

export function placeKey({ directory, filter }: Place): string {
  return JSON.stringify([directory, filter]);
}

/**
 * The directories of one machine that are open on the page. Each is followed, and listed anew when it is opened;
 * further pages are fetched when they are wanted.
 */
export class DirectoryStore implements Observable<Directories> {
  readonly #backend: Backend;
  readonly #machineId: MachineId;
  readonly #hidden: boolean;
  readonly #listeners = new Set<() => void>();
  readonly #open = new Map<string, OpenPlace>();
  #state: Directories = { folders: new Map(), repositories: new Map() };
  #stopInspecting: (() => void) | null = null;
  #toInspect: readonly string[] = [];

  constructor(backend: Backend, machineId: MachineId, hidden: boolean) {
    this.#backend = backend;
    this.#machineId = machineId;
    this.#hidden = hidden;
  }

  readonly get = (): Directories => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Opens and closes directories until exactly these are open. */
  show(places: readonly Place[]): void {
    const wanted = new Map(places.map((place) => [placeKey(place), place]));
    const gone = [...this.#open.keys()].filter((key) => !wanted.has(key));
    for (const key of gone) {
      this.#open.get(key)?.close();
      this.#open.delete(key);
    }
    if (gone.length > 0) this.#setFolders((folders) => gone.forEach((key) => folders.delete(key)));
    for (const [key, place] of wanted) if (!this.#open.has(key)) this.#opened(key, place);
    if (places.length === 0) {
      this.#stopInspecting?.();
      this.#stopInspecting = null;
      this.#toInspect = [];
    }
  }

  /** Lists a directory anew, in all the ways in which it is open. */
  refresh(directory: string): void {
    for (const open of this.#open.values()) if (open.place.directory === directory) open.list();
    const children = this.#folderOf(directory)?.entries ?? [];
    const paths = new Set(children.map(({ name }) => joinPath(directory, name)));
    const kept = [...this.#state.repositories].filter(([path]) => !paths.has(path));
    this.#set({ repositories: new Map(kept) });
  }

  loadMore(place: Place): void {
    this.#open.get(placeKey(place))?.loadMore();
  }

  /** Asks git about directories that were not asked about yet; one question at a time, the latest wish wins. */
  inspect(directories: readonly string[]): void {
    this.#toInspect = directories;
    if (this.#stopInspecting) return;
    const batch = directories.filter((path) => !this.#state.repositories.has(path)).slice(0, LIMITS.inspectedMax);
    if (batch.length === 0) return;
    const answered = (repositories: readonly Repository[]) => {
      this.#stopInspecting = null;
      const known = new Map(this.#state.repositories);
      for (const path of batch) known.set(path, repositories.find(({ directory }) => directory === path) ?? null);
      this.#set({ repositories: known });
      this.inspect(this.#toInspect);
    };
    this.#stopInspecting = requestAndFollow(
      this.#backend,
      this.#machineId,
      { kind: "inspect_repositories", directories: batch },
      ({ command, result }) => {
        if (hasEnded(command.state)) answered(result?.kind === "repositories" ? result.repositories : []);
      },
      () => answered([]),
    );
  }

  #opened(key: string, place: Place): void {
    const change = (edit: (folder: Folder) => Folder) => {
      const folder = this.#state.folders.get(key);
      if (folder) this.#setFolders((folders) => folders.set(key, edit(folder)));
    };
    this.#setFolders((folders) => folders.set(key, { ...UNKNOWN, ...place }));
    const read = () => this.#state.folders.get(key);
    const open = new OpenPlace(this.#backend, this.#machineId, this.#hidden, place, read, change);
    this.#open.set(key, open);
    open.start();
  }

  #folderOf(directory: string): Folder | undefined {
    return this.#state.folders.get(placeKey({ directory, filter: "" }));
  }

  #setFolders(edit: (folders: Map<string, Folder>) => void): void {
    const folders = new Map(this.#state.folders);
    edit(folders);
    this.#set({ folders });
  }

  #set(part: Partial<Directories>): void {
    this.#state = { ...this.#state, ...part };
    for (const listener of [...this.#listeners]) listener();
  }
}

const UNKNOWN: Omit<Folder, keyof Place> = {
  entries: null,
  total: 0,
  next: null,
  asOf: null,
  command: null,
  error: null,
  more: { pending: false, problem: null },
};

/** One open directory: what is followed for it, and what was asked. */
class OpenPlace {
  readonly place: Place;
  readonly #backend: Backend;
  readonly #machineId: MachineId;
  readonly #hidden: boolean;
  readonly #read: () => Folder | undefined;
  readonly #change: (edit: (folder: Folder) => Folder) => void;
  #stopWatch: (() => void) | null = null;
  #stopListing: (() => void) | null = null;
  #stopMore: (() => void) | null = null;

  constructor(
    backend: Backend,
    machineId: MachineId,
    hidden: boolean,
    place: Place,
    read: () => Folder | undefined,
    change: (edit: (folder: Folder) => Folder) => void,
  ) {
    this.#backend = backend;
    this.#machineId = machineId;
    this.#hidden = hidden;
    this.place = place;
    this.#read = read;
    this.#change = change;
  }

  start(): void {
    const { directory, filter } = this.place;
    if (filter === "") {
      this.#stopWatch = this.#backend.watch(
        "machine.directory",
        { machineId: this.#machineId, directory, hidden: this.#hidden },
        ({ listing, asOf, command }) =>
          this.#change((folder) => ({ ...withFirstPage(folder, listing, asOf), command: command ?? null })),
        (state) => {
          if (state.kind === "refused") this.#change((folder) => ({ ...folder, error: state.error }));
        },
      );
    }
    this.list();
  }

  list(): void {
    this.#change((folder) => ({ ...folder, error: null }));
    this.#stopListing?.();
    const onRefused = (error: BackendError) => this.#change((folder) => ({ ...folder, error }));
    if (this.place.filter === "") {
      // The watch brings the listing; only a refusal has to be told.
      const operation = this.#operation(null);
      void this.#backend
        .call("machine.command.request", { machineId: this.#machineId, operation }, { key: newIdempotencyKey() })
        .catch((thrown: unknown) => onRefused(asBackendError(thrown)));
      return;
    }
    this.#stopListing = requestAndFollow(
      this.#backend,
      this.#machineId,
      this.#operation(null),
      ({ command, result }) => {
        const listing = result?.kind === "listing" ? result : null;
        this.#change((folder) => ({ ...withFirstPage(folder, listing, command.endedAt), command }));
      },
      onRefused,
    );
  }

  loadMore(): void {
    const { next, more } = this.#read() ?? UNKNOWN;
    if (next === null || more.pending) return;
    this.#change((folder) => ({ ...folder, more: { pending: true, problem: null } }));
    const failed = (problem: string) => this.#change((folder) => ({ ...folder, more: { pending: false, problem } }));
    this.#stopMore?.();
    this.#stopMore = requestAndFollow(
      this.#backend,
      this.#machineId,
      this.#operation(next),
      (view) => {
        if (!hasEnded(view.command.state)) return;
        const { result } = view;
        if (result?.kind !== "listing") {
          failed(problemOf(view));
          return;
        }
        this.#change((folder) =>
          // The first page may have come anew meanwhile, and then this one does not follow it.
          folder.next === next
            ? {
                ...folder,
                entries: [...(folder.entries ?? []), ...result.entries],
                total: result.total,
                next: result.next ?? null,
                more: UNKNOWN.more,
              }
            : { ...folder, more: UNKNOWN.more },
        );
      },
      (error) => failed(error.message),
    );
  }

  close(): void {
    this.#stopWatch?.();
    this.#stopListing?.();
    this.#stopMore?.();
    const command = this.#read()?.command;
    // What was typed on the way to a longer filter is of use to nobody.
    if (this.place.filter !== "" && command && !hasEnded(command.state)) {
      void this.#backend
        .call("machine.command.cancel", { commandId: command.id }, { key: newIdempotencyKey() })
        .catch(() => undefined);
    }
  }

  #operation(after: string | null) {
    const { directory, filter } = this.place;
    return { kind: "list" as const, directory, hidden: this.#hidden, filter: filter || null, after };
  }
}

/** Why a command that has ended has no result to show. */
export function problemOf({ command }: CommandView): string {
  switch (command.state) {
    case "failed":
      return command.error?.message ?? "The machine did not say why.";
    case "cancelled":
      return command.error?.message ?? "The request was cancelled.";
    case "expired":
      return "The machine did not come for the request in time.";
    case "queued":
    case "leased":
    case "running":
    case "succeeded":
    case "unknown":
      return "The answer is no longer kept. Ask again.";
  }
}

/** The folder with a new first page. Pages beyond it stay if they still follow it. */
function withFirstPage(folder: Folder, listing?: Listing | null, asOf?: Timestamp | null): Folder {
  if (!listing || asOf == null || asOf === folder.asOf) return folder;
  const next = listing.next ?? null;
  const first = listing.entries;
  const known = folder.entries ?? [];
  const stillFollows =
    known.length > first.length &&
    next !== null &&
    folder.total === listing.total &&
    known[first.length - 1]?.name === first.at(-1)?.name;
  if (stillFollows) return { ...folder, entries: [...first, ...known.slice(first.length)], asOf };
  return { ...folder, entries: first, total: listing.total, next, asOf, more: UNKNOWN.more };
}
