const encoder = new TextEncoder();

/** The length in UTF-8, in which the backend's limits count. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** `512 B`, `12.3 KiB`, `1.2 MiB`, `3.4 GiB`. */
export function byteSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  if (bytes < 1024 * 1024 * 1024) return `${(bytes / (1024 * 1024)).toFixed(1)} MiB`;
  return `${(bytes / (1024 * 1024 * 1024)).toFixed(1)} GiB`;
}
