const BY_NAME: Record<string, string> = {
  dockerfile: "dockerfile",
  makefile: "makefile",
  gnumakefile: "makefile",
  "cargo.lock": "toml",
  "poetry.lock": "toml",
  ".bashrc": "bash",
  ".profile": "bash",
  ".zshrc": "bash",
  ".gitconfig": "ini",
  ".editorconfig": "ini",
};
const BY_ENDING: Record<string, string> = {
  mjs: "js",
  cjs: "js",
  mts: "ts",
  cts: "ts",
  htm: "html",
  conf: "ini",
  h: "c",
};

/** The language in which a file is probably written; its ending is the highlighter's own name for most. */
export function languageOf(name: string): string | null {
  const lower = name.toLowerCase();
  const known = BY_NAME[lower];
  if (known !== undefined) return known;
  const dot = lower.lastIndexOf(".");
  if (dot <= 0) return null;
  const ending = lower.slice(dot + 1);
  return BY_ENDING[ending] ?? (ending || null);
}
