/**
 * Takes the single-use token out of the address: `/sign-in#token=…`. It is in the fragment so that it reaches no
 * log, and leaves the address at once so that it stays in no history.
 */
export function takeToken(): string | null {
  const { pathname, search, hash } = window.location;
  if (!hash.startsWith("#token=")) return null;
  const token = decodeURIComponent(hash.slice("#token=".length)).trim();
  window.history.replaceState(null, "", pathname + search);
  return token === "" ? null : token;
}
