const TOKEN = "#token=";

/** How somebody came to the page, where that signs them in. */
export type Arrival = { by: "link"; token: string } | { by: "provider"; address: string };

/**
 * Takes out of the address what signs in: `/sign-in#token=…` of a link, whose token is in the fragment so that it
 * reaches no log, or what an identity provider sent back. It leaves the address at once, so that it stays in no history.
 */
export function takeArrival(): Arrival | null {
  const { pathname, search, hash, href } = window.location;
  if (hash.startsWith(TOKEN)) {
    const token = decodeURIComponent(hash.slice(TOKEN.length)).trim();
    window.history.replaceState(null, "", pathname + search);
    return token === "" ? null : { by: "link", token };
  }
  const query = new URLSearchParams(search);
  if (pathname.startsWith("/sign-in") && query.has("state") && (query.has("code") || query.has("error"))) {
    window.history.replaceState(null, "", pathname);
    return { by: "provider", address: href };
  }
  return null;
}

/** Runs `listener` when a link is opened where the page already is: that loads nothing anew. */
export function onArrival(listener: () => void): () => void {
  const changed = () => {
    if (window.location.hash.startsWith(TOKEN)) listener();
  };
  window.addEventListener("hashchange", changed);
  return () => window.removeEventListener("hashchange", changed);
}
