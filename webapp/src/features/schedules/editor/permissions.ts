/** What a schedule usually allows, by opencode's names for it. */
export const USUAL: { id: string; label: string; text: string; allow: string[] }[] = [
  {
    id: "look",
    label: "Look at files",
    text: "read, glob, grep, list, lsp",
    allow: ["read", "glob", "grep", "list", "lsp"],
  },
  { id: "edit", label: "Change files", text: "edit: writes, edits and patches in its folder", allow: ["edit"] },
  { id: "bash", label: "Run any command", text: "bash: whatever the machine's user may do", allow: ["bash"] },
  {
    id: "web",
    label: "Read the web",
    text: "webfetch, websearch, codesearch",
    allow: ["webfetch", "websearch", "codesearch"],
  },
  {
    id: "plan",
    label: "Plan and delegate",
    text: "todowrite, todoread, task, skill",
    allow: ["todowrite", "todoread", "task", "skill"],
  },
];

/** What is ticked of a list, and the lines that are left. */
export function ticksOf(allow: readonly string[]): { ticked: string[]; more: string } {
  const ticked = USUAL.filter(({ allow: all }) => all.every((entry) => allow.includes(entry)));
  const covered = new Set(ticked.flatMap((usual) => usual.allow));
  return { ticked: ticked.map(({ id }) => id), more: allow.filter((entry) => !covered.has(entry)).join("\n") };
}

/** The list that ticks and lines make. */
export function allowOf(ticked: readonly string[], more: string): string[] {
  const usual = USUAL.filter(({ id }) => ticked.includes(id)).flatMap(({ allow }) => allow);
  const lines = more.split("\n").map((line) => line.trim());
  return [...new Set([...usual, ...lines.filter((line) => line !== "")])];
}
