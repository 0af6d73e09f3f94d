/** Copies text; also over plain HTTP, where the clipboard API is not there. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("readonly", "");
  area.style.position = "fixed";
  area.style.opacity = "0";
  // Inside an open dialog focus is trapped: the area has to be within it.
  const host = document.querySelector("[role='dialog']") ?? document.body;
  const focused = document.activeElement;
  host.append(area);
  area.select();
  try {
    // Deprecated, and the only way without a secure context.
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    return document.execCommand("copy");
  } finally {
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
  }
}
