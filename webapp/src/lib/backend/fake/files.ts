import type { DirectoryEntry, Listing } from "../wire.gen";

const PAGE_ENTRIES = 500;

export type FakeNode =
  | {
      kind: "directory";
      children: Map<string, FakeNode>;
      git?: { branch: string | null; changed: number };
      modifiedAt: number;
    }
  | { kind: "file"; text: string; size: number; binary: boolean; modifiedAt: number }
  | { kind: "link"; modifiedAt: number };
export type FakeFolder = Extract<FakeNode, { kind: "directory" }>;

export function folder(children: Record<string, FakeNode> = {}, git?: FakeFolder["git"]): FakeFolder {
  const inside = git ? { ".git": folder({ HEAD: file("ref: refs/heads/main\n") }), ...children } : children;
  return { kind: "directory", children: new Map(Object.entries(inside)), git, modifiedAt: Date.now() - 86_400_000 };
}

export function file(text: string, extra: { size?: number; binary?: boolean } = {}): FakeNode {
  const binary = extra.binary ?? false;
  return { kind: "file", text, size: extra.size ?? text.length, binary, modifiedAt: Date.now() - 3_600_000 };
}

/** What is at a path below a root. */
export function at(root: FakeFolder, path: string): FakeNode | undefined {
  let node: FakeNode | undefined = root;
  for (const part of path.split("/").filter(Boolean)) {
    node = node?.kind === "directory" ? node.children.get(part) : undefined;
  }
  return node;
}

/** A page as a machine gives it: directories first, each by name. */
export function page(
  of: FakeFolder,
  { hidden, filter, after }: { hidden: boolean; filter?: string | null; after?: string | null },
): Listing {
  const wanted = filter?.toLowerCase();
  const all = [...of.children].filter(
    ([name]) => (hidden || !name.startsWith(".")) && (!wanted || name.toLowerCase().includes(wanted)),
  );
  const rank = (node: FakeNode) => (node.kind === "directory" ? 0 : 1);
  all.sort(([a, one], [b, other]) => rank(one) - rank(other) || (a < b ? -1 : a > b ? 1 : 0));
  const from = after ? Number(after) : 0;
  const entries = all.slice(from, from + PAGE_ENTRIES).map(([name, node]): DirectoryEntry => {
    const entry: DirectoryEntry = { name, kind: node.kind, modifiedAt: node.modifiedAt };
    if (node.kind === "file") entry.size = node.size;
    if (node.kind === "directory" && node.git) entry.git = { branch: node.git.branch };
    return entry;
  });
  const end = from + entries.length;
  return { entries, total: all.length, next: end < all.length ? String(end) : null };
}

/** What a person's machine may hold: repositories, odd names, a folder of 200,000 entries. */
export function exampleRoot(): FakeFolder {
  const source = folder({
    "lib.rs": file("pub mod transport;\n"),
    "main.rs": file('fn main() {\n    println!("hi");\n}\n'),
  });
  let many: FakeFolder | null = null;
  const huge = folder();
  // Made when it is first looked into, so that nobody else waits for it.
  Object.defineProperty(huge, "children", {
    get: () => {
      many ??= folder(
        Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`${String(i).padStart(6, "0")}.log`, file("")])),
      );
      return many.children;
    },
  });
  return folder({
    repos: folder({
      "api-server": folder(
        {
          ".env": file("PORT=8080\n"),
          src: source,
          "Cargo.toml": file('[package]\nname = "api-server"\nversion = "0.4.1"\n'),
          "README.md": file("# API server\n\nServes the API. <script>alert(1)</script>\n"),
          "logo.png": file("", { size: 48_213, binary: true }),
        },
        { branch: "main", changed: 3 },
      ),
      docs: folder({ "index.md": file("# Docs\n") }, { branch: "release/2026-11", changed: 0 }),
      site: folder({}, { branch: null, changed: 0 }),
    }),
    logs: huge,
    ".config": folder({ "settings.json": file('{ "theme": "dark" }\n') }),
    "notes.txt": file("Ask Anna about the runner.\n"),
    "dump.sql": file("-- a big dump\nINSERT INTO t VALUES (1);\n".repeat(2_000), { size: 7_340_032 }),
    "odd\\xff name \u202egnp.exe": file("?", { size: 1, binary: true }),
    latest: { kind: "link", modifiedAt: Date.now() - 60_000 },
  });
}
