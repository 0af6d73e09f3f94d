/** Loads a folder of Convex functions, and finds the public function that a path names. */
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import type { ValidatorJSON } from "convex/values";
import { KnownFailure } from "./errors.ts";

export type FunctionKind = "query" | "mutation" | "action";

/** As `import.meta.glob` would give it, which needs a fixed path; all modules are loaded already. */
export type Modules = Record<string, () => Promise<unknown>>;

export type Functions = { modules: Modules; schema: unknown; find(path: string, kind: FunctionKind): PublicFunction };

export type PublicFunction = { kind: FunctionKind; args: ValidatorJSON };

type Registered = {
  isQuery?: boolean;
  isMutation?: boolean;
  isAction?: boolean;
  isPublic?: boolean;
  exportArgs?: () => string;
};

export async function loadFunctions(folder: string): Promise<Functions> {
  const loaded = new Map<string, Record<string, unknown>>();
  const modules: Modules = {};
  for (const file of sources(folder)) {
    const name = relative(folder, file).replace(/\.[cm]?[jt]sx?$/, "");
    // A deployment reads this file apart; its checks of the environment are not the bridge's business.
    if (name === "auth.config") continue;
    const module = (await import(/* @vite-ignore */ file)) as Record<string, unknown>;
    loaded.set(name, module);
    modules[join(folder, `${name}.ts`)] = () => Promise.resolve(module);
  }
  // convex-test finds the root by this name.
  modules[join(folder, "_generated", "api.ts")] ??= () => Promise.resolve({});
  return {
    modules,
    schema: loaded.get("schema")?.default,
    find: (path, kind) => find(loaded, path, kind),
  };
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?[jt]sx?$/.test(entry.name) && !/\.(d|test)\.[cm]?ts$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes("node_modules"))
    .sort();
}

/** Fails with Convex's own texts. An internal function is as good as none to a client. */
function find(loaded: Map<string, Record<string, unknown>>, path: string, kind: FunctionKind): PublicFunction {
  const [module = "", name = "default"] = path.split(":");
  const registered = loaded.get(module.replace(/\.js$/, ""))?.[name] as Registered | undefined;
  const actual = kindOf(registered);
  if (registered === undefined || actual === undefined || registered.isPublic !== true) {
    throw new KnownFailure(`Could not find public function for '${path}'.`);
  }
  if (actual !== kind) {
    throw new KnownFailure(
      `Trying to execute ${module}.js:${name} as ${title(kind)}, but it is defined as ${title(actual)}.`,
    );
  }
  return { kind, args: JSON.parse(registered.exportArgs?.() ?? '{"type":"any"}') as ValidatorJSON };
}

function kindOf(registered: Registered | undefined): FunctionKind | undefined {
  if (registered?.isQuery === true) return "query";
  if (registered?.isMutation === true) return "mutation";
  return registered?.isAction === true ? "action" : undefined;
}

function title(kind: FunctionKind): string {
  return kind.charAt(0).toUpperCase() + kind.slice(1);
}
