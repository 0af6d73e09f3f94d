import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { fakeBackend, type Fake } from "@/lib/backend/fake/backend";
import { file, folder, type FakeFolder } from "@/lib/backend/fake/files";

import { DirectoryStore, placeKey, type Folder } from "./directory-store";
import { openPlaces, rowsOf, withOpen } from "./rows";

const at = (directory: string, filter = "") => ({ directory, filter });
const settled = { timeout: 10_000 };

let backend: Fake;
let machineId: string;
let root: FakeFolder;
let store: DirectoryStore;

beforeEach(() => {
  backend = fakeBackend({ pace: 0 });
  machineId = backend.world.machines[0]?.id ?? "";
  root = backend.directories.root(machineId);
  store = new DirectoryStore(backend, machineId, false);
});
afterEach(() => store.show([]));

const folderAt = (directory: string, filter = ""): Folder => {
  const found = store.get().folders.get(placeKey(at(directory, filter)));
  if (!found) throw new Error(`${directory} is not open`);
  return found;
};
const names = (directory: string, filter = "") => folderAt(directory, filter).entries?.map(({ name }) => name);
const listed = (directory: string, filter = "") =>
  vi.waitFor(() => expect(folderAt(directory, filter).entries).not.toBeNull(), settled);

describe("a directory", () => {
  it("is listed when it is opened, without what is hidden", async () => {
    store.show([at("")]);
    expect(folderAt("").entries).toBeNull();
    await listed("");
    expect(names("")).toEqual(["logs", "repos", "dump.sql", "latest", "notes.txt", "odd\\xff name \u202egnp.exe"]);
    const hidden = new DirectoryStore(backend, machineId, true);
    hidden.show([at("")]);
    await vi.waitFor(
      () =>
        expect(
          hidden
            .get()
            .folders.get(placeKey(at("")))
            ?.entries?.map(({ name }) => name),
        ).toContain(".config"),
      settled,
    );
    hidden.show([]);
  });

  it("comes in pages, each once, and keeps them when its first page comes anew", async () => {
    root.children.set("many", folder(Object.fromEntries(Array.from({ length: 1_200 }, (_, i) => [`f${i}`, file("")]))));
    store.show([at("many")]);
    await listed("many");
    store.loadMore(at("many"));
    store.loadMore(at("many"));
    await vi.waitFor(() => expect(folderAt("many").entries).toHaveLength(1_000), settled);
    const { asOf } = folderAt("many");
    await new Promise((resolve) => setTimeout(resolve, 2));
    store.refresh("many");
    await vi.waitFor(() => expect(folderAt("many").asOf).not.toBe(asOf), settled);
    expect(folderAt("many").entries).toHaveLength(1_000);
    store.loadMore(at("many"));
    await vi.waitFor(() => expect(folderAt("many").next).toBeNull(), settled);
    expect(new Set(names("many")).size).toBe(1_200);
  });

  it("is filtered by the machine, not by what has come so far", async () => {
    store.show([at("logs", "19999")]);
    await listed("logs", "19999");
    expect(names("logs", "19999")).toContain("199999.log");
    expect(folderAt("logs", "19999").total).toBe(12);
  });

  it("says what the machine says when it can't be listed, and can be asked again", async () => {
    store.show([at("later")]);
    await vi.waitFor(() => expect(folderAt("later").command?.error?.message).toMatch(/Nothing is at “later”/), settled);
    expect(rowsOf(store.get().folders, at("later"), new Set()).map(({ kind }) => kind)).toEqual(["failed"]);
    root.children.set("later", folder());
    store.refresh("later");
    await listed("later");
    expect(rowsOf(store.get().folders, at("later"), new Set()).map(({ kind }) => kind)).toEqual(["empty"]);
  });

  it("waits for a machine that is away, and comes when it is back", async () => {
    const machine = backend.world.machines[0];
    if (!machine) throw new Error("no machine");
    machine.presence = { state: "offline", since: 1 };
    store.show([at("repos")]);
    await vi.waitFor(() => expect(folderAt("repos").command?.state).toBe("queued"), settled);
    expect(folderAt("repos").entries).toBeNull();
    machine.presence = { state: "online", epoch: 2, since: 2 };
    backend.world.changed();
    await listed("repos");
  });

  it("gives up a filter that nobody waits for any more", async () => {
    const machine = backend.world.machines[0];
    if (!machine) throw new Error("no machine");
    machine.presence = { state: "offline", since: 1 };
    store.show([at("", "no")]);
    await vi.waitFor(() => expect(folderAt("", "no").command?.state).toBe("queued"), settled);
    store.show([at("", "notes")]);
    await vi.waitFor(() => expect(backend.directories.commands[0]?.command.state).toBe("cancelled"), settled);
  });
});

describe("repositories", () => {
  it("are asked about in one question, once, and again after a refresh", async () => {
    const count = () =>
      backend.directories.commands.filter(({ command }) => command.operation.kind === "inspect_repositories").length;
    store.show([at("repos")]);
    await listed("repos");
    store.inspect(["repos/api-server", "repos/docs"]);
    await vi.waitFor(() => expect(store.get().repositories.get("repos/api-server")?.changedFiles).toBe(3), settled);
    expect(store.get().repositories.get("repos/docs")?.changedFiles).toBe(0);
    store.inspect(["repos/api-server"]);
    expect(count()).toBe(1);
    store.refresh("repos");
    store.inspect(["repos/api-server"]);
    await vi.waitFor(() => expect(store.get().repositories.get("repos/api-server")).toBeTruthy(), settled);
    expect(count()).toBe(2);
  });
});

describe("the tree", () => {
  it("has the lines of open folders below them, with their places", async () => {
    const expanded = new Set(["repos", "repos/api-server", "elsewhere/deep"]);
    const places = openPlaces(at(""), expanded);
    expect(places.map(({ directory }) => directory)).toEqual(["", "repos", "repos/api-server"]);
    store.show(places);
    await Promise.all(places.map(({ directory }) => listed(directory)));
    const rows = rowsOf(store.get().folders, at(""), expanded);
    expect(rows.map(({ id, level }) => `${level} ${id}`).slice(0, 5)).toEqual([
      "1 entry:logs",
      "1 entry:repos",
      "2 entry:repos/api-server",
      "3 entry:repos/api-server/src",
      "3 entry:repos/api-server/Cargo.toml",
    ]);
    const [, repos, api] = rows;
    expect(repos).toMatchObject({ position: 2, setSize: 6, expanded: true });
    expect(api).toMatchObject({ parent: "entry:repos", position: 1, setSize: 3 });
  });

  it("keeps so many folders open and no more: the first to be opened is the first to close", () => {
    let expanded: ReadonlySet<string> = new Set(["elsewhere/deep"]);
    for (let index = 0; index < 60; index += 1) expanded = withOpen(expanded, "", `d${index}`);
    expanded = withOpen(expanded, "", "d59/inner");
    const shown = openPlaces(at(""), expanded).map(({ directory }) => directory);
    expect(shown).toHaveLength(41);
    expect(shown).toContain("d59/inner");
    expect(shown).not.toContain("d0");
    expect(expanded.has("elsewhere/deep")).toBe(true);
  });
});
