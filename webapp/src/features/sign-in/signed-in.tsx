"use client";

import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";

import { Splash } from "@/features/shell/splash";
import { asBackendError, type Backend, type Me } from "@/lib/backend/backend";
import { useBackend, useConnection } from "@/lib/backend/react";
import { navigate, type Route } from "@/lib/route";

import { onArrival, takeArrival } from "./arrival";
import { SignInPage } from "./sign-in-page";
import { Unreachable } from "./unreachable";
import { UpgradePage } from "./upgrade-page";

type State =
  | { kind: "checking" }
  | { kind: "unreachable"; message: string }
  | { kind: "signed_out"; problem: string | null }
  | { kind: "signed_in"; me: Me };

interface Identity {
  me: Me;
  /** Asks again who is signed in, after a change of it. */
  refresh: () => Promise<void>;
}

const IdentityContext = createContext<Identity | null>(null);

export function useIdentity(): Identity {
  const identity = useContext(IdentityContext);
  if (!identity) throw new Error("useIdentity outside SignedIn");
  return identity;
}

/** Shows its children to whoever is signed in, and the way in to everybody else. */
export function SignedIn({ route, children }: { route: Route; children: ReactNode }) {
  const backend = useBackend();
  const connection = useConnection();
  const [state, setState] = useState<State>({ kind: "checking" });

  const check = useCallback(async () => setState(await whoIsThere(backend)), [backend]);
  useEffect(() => {
    let current = true;
    void whoIsThere(backend).then((next) => {
      if (current) setState(next);
    });
    return () => {
      current = false;
    };
  }, [backend]);

  useEffect(() => onArrival(() => void check()), [check]);

  const wasSignedOut = useRef(false);
  useEffect(() => {
    const out = connection.kind === "signed_out";
    // Somebody has signed in again in another tab, perhaps somebody else.
    if (wasSignedOut.current && !out) void check();
    wasSignedOut.current = out;
  }, [connection.kind, check]);

  const signedIn = state.kind === "signed_in" && connection.kind !== "signed_out";
  useEffect(() => {
    if (signedIn && route.page === "sign-in") navigate({ page: "home" }, { replace: true });
  }, [signedIn, route.page]);

  const identity = useMemo(
    () => (state.kind === "signed_in" ? { me: state.me, refresh: check } : null),
    [state, check],
  );

  if (connection.kind === "upgrade") return <UpgradePage message={connection.message} />;
  if (state.kind === "checking") return <Splash />;
  if (state.kind === "unreachable") return <Unreachable message={state.message} onRetry={check} />;
  if (!signedIn || !identity) {
    const why = connection.kind === "signed_out" ? connection.why : undefined;
    const problem = state.kind === "signed_out" ? state.problem : "You were signed out. Sign in again to go on.";
    // What became of a sign-in just now says more than what ended the one before.
    const said = (state.kind === "signed_out" ? state.problem : null) ?? why ?? problem;
    return <SignInPage key={said} problem={said} onSignedIn={check} />;
  }
  // Nothing that one person had on screen is left to another.
  return (
    <IdentityContext key={identity.me.person.id} value={identity}>
      {children}
    </IdentityContext>
  );
}

async function whoIsThere(backend: Backend): Promise<State> {
  try {
    const problem = await signInByArrival(backend);
    const me = await backend.auth.me();
    return me ? { kind: "signed_in", me } : { kind: "signed_out", problem };
  } catch (error) {
    return { kind: "unreachable", message: asBackendError(error).message };
  }
}

/** Signs in with what the page was opened with, if that signs in; tells why it could not. */
async function signInByArrival({ auth }: Backend): Promise<string | null> {
  const arrival = takeArrival();
  if (arrival === null) return null;
  try {
    if (arrival.by === "link") await auth.signInWithToken(arrival.token);
    else await auth.signInFromProvider(arrival.address);
    return null;
  } catch (error) {
    const refusal = asBackendError(error);
    if (refusal.isRetryable && refusal.code !== "rate_limited") throw refusal;
    return refusal.message;
  }
}
