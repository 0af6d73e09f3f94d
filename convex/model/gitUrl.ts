/**
 * Checks of a git repository's address, before anything is asked to fetch it.
 *
 * git itself runs programs for some addresses (`ext::`), takes others for options, and keeps a password in the
 * repository's configuration. So only plain addresses of allowed protocols pass.
 */

import { LIMITS } from "./gen/wire";
import { byteLength, decoder } from "./texts";

export const PROTOCOLS = ["https", "ssh", "http", "file"] as const;
/** Those that are allowed unless a machine's operator says otherwise. */
export const PROTOCOLS_BY_DEFAULT = ["https", "ssh"] as const satisfies readonly Protocol[];

export type Protocol = (typeof PROTOCOLS)[number];

/** Why an address is refused. No text of it is in the message where it may hold a secret. */
export interface Refused {
  why:
    "empty" | "tooLong" | "badCharacter" | "leadingDash" | "protocol" | "path" | "password" | "host" | "noRepository";
  message: string;
}

interface Address {
  protocol: Protocol;
  user: string | null;
  host: string;
  path: string;
}

const MESSAGES = {
  empty: "Give the address of a repository, like https://example.org/team/project.git.",
  tooLong: `The address is longer than ${LIMITS.urlMaxBytes} bytes.`,
  badCharacter: "The address has a blank, a line break or another character that no address has.",
  leadingDash: "A part of the address begins with a dash, which programs would take for an option.",
  password:
    "The address has a password or token in it, which would be kept in the repository and in the history of " +
    "commands. Take it out, and set up a credential helper (git config --global credential.helper) or an ssh key " +
    "for the machine's user.",
  host: "The address names no host that can be used.",
  noRepository: "The address names a host but no repository on it.",
};

class RefusedError extends Error {
  constructor(readonly refused: Refused) {
    super(refused.message);
  }
}

const refuse = (why: keyof typeof MESSAGES) => new RefusedError({ why, message: MESSAGES[why] });

/** Why an address can't be used, or null. */
export function check(url: string, allowed: readonly Protocol[]): Refused | null {
  try {
    checkAddress(url, allowed);
    return null;
  } catch (error) {
    if (error instanceof RefusedError) {
      return error.refused;
    }
    throw error;
  }
}

function checkAddress(url: string, allowed: readonly Protocol[]): void {
  if (url === "") {
    throw refuse("empty");
  }
  if (byteLength(url) > LIMITS.urlMaxBytes) {
    throw refuse("tooLong");
  }
  if (/[\p{Cc}\p{White_Space}]/u.test(url) || /\p{Cc}/u.test(percentDecoded(url))) {
    throw refuse("badCharacter");
  }
  if (url.startsWith("-")) {
    throw refuse("leadingDash");
  }
  const address = addressOf(url, allowed);
  if (!allowed.includes(address.protocol)) {
    throw refusedProtocol(address.protocol, allowed);
  }
  if (address.protocol !== "file") {
    checkUser(address);
    checkHost(address.host);
    if (address.path.startsWith("-")) {
      throw refuse("leadingDash");
    }
  }
  const isNowhere = address.protocol === "file" ? address.path === "" : /^\/*$/.test(address.path);
  if (isNowhere) {
    throw refuse("noRepository");
  }
}

function addressOf(url: string, allowed: readonly Protocol[]): Address {
  const scheme = url.indexOf("://");
  if (scheme >= 0) {
    // `ext::sh://x` runs a program.
    const name = url.slice(0, scheme);
    const protocol = PROTOCOLS.find((known) => known === name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
    if (protocol === undefined) {
      throw refusedProtocol(name, allowed);
    }
    const rest = url.slice(scheme + "://".length);
    const [authority = ""] = rest.split(/[/?#]/, 1);
    return { protocol, ...hostOf(authority), path: rest.slice(authority.length) };
  }
  const helper = /^[A-Za-z0-9+\-.]*(?=::)/.exec(url);
  if (helper !== null) {
    throw refusedProtocol(helper[0], allowed);
  }
  // `user@host:path`; a slash before the colon makes it a path on the disk.
  const colon = url.includes("[") ? after(url.indexOf("]:"), 1) : url.indexOf(":");
  if (colon < 0 || url.slice(0, colon).includes("/")) {
    throw new RefusedError({
      why: "path",
      message: `That is a path, not an address. Give an address that begins with ${names(allowed)}.`,
    });
  }
  return { protocol: "ssh", ...hostOf(url.slice(0, colon)), path: url.slice(colon + 1) };
}

const after = (found: number, by: number): number => (found < 0 ? found : found + by);

function hostOf(authority: string): { user: string | null; host: string } {
  const at = authority.lastIndexOf("@");
  return at < 0 ? { user: null, host: authority } : { user: authority.slice(0, at), host: authority.slice(at + 1) };
}

function checkUser({ user: encoded, protocol }: Address): void {
  if (encoded === null) {
    return;
  }
  const user = percentDecoded(encoded);
  if (user.startsWith("-")) {
    throw refuse("leadingDash");
  }
  // Programs do not agree on which of two is the one before the host.
  if (user.includes("@")) {
    throw refuse("host");
  }
  if (user.includes(":") || (protocol !== "ssh" && isToken(user))) {
    throw refuse("password");
  }
}

const LONGEST_USER_BYTES = 39;
const TOKENS = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "x-token"];

/** Whether a user's name is rather a token: many hosts take one in the name's place. */
const isToken = (user: string): boolean =>
  byteLength(user) > LONGEST_USER_BYTES || TOKENS.some((prefix) => user.startsWith(prefix));

function checkHost(host: string): void {
  if (/^\[*-/.test(percentDecoded(host))) {
    throw refuse("leadingDash");
  }
  const isAddress = /^\[[0-9A-Fa-f:.]+\](:(?<port>.*))?$/.exec(host);
  const isName = /^[\p{Alphabetic}\p{N}\-._]+(:(?<port>.*))?$/u.exec(host);
  const found = host.startsWith("[") ? isAddress : isName;
  const port = found?.groups?.port;
  if (found === null || (port !== undefined && !isPort(port))) {
    throw refuse("host");
  }
}

const isPort = (text: string): boolean => /^\+?\d+$/.test(text) && Number(text) < 2 ** 16;

/** What git makes of `%2d` and the like before it looks at the address. */
function percentDecoded(text: string): string {
  const bytes = new TextEncoder().encode(text);
  const decoded: number[] = [];
  for (let at = 0; at < bytes.length; at += 1) {
    const digits = String.fromCharCode(...bytes.subarray(at + 1, at + 3));
    // A plus sign is a digit's sign to Rust, which has to come to the same.
    if (bytes[at] === PERCENT && /^([0-9a-f]|\+)[0-9a-f]$/i.test(digits)) {
      decoded.push(Number.parseInt(digits, 16));
      at += 2;
    } else {
      decoded.push(bytes[at] ?? 0);
    }
  }
  return decoder.decode(new Uint8Array(decoded));
}

const PERCENT = 0x25;

function refusedProtocol(name: string, allowed: readonly Protocol[]): RefusedError {
  const shown = JSON.stringify(Array.from(name).slice(0, 32).join(""));
  return new RefusedError({
    why: "protocol",
    message: `Repositories can't be cloned by ${shown}; use ${names(allowed)}.`,
  });
}

const names = (allowed: readonly Protocol[]): string => allowed.map((protocol) => `${protocol}://`).join(" or ");
