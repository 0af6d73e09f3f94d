"use client";

import {
  createContext,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
  type ReactNode,
} from "react";

import {
  asBackendError,
  type Args,
  type Backend,
  type BackendError,
  type ConnectionState,
  type MutationName,
  type QueryName,
  type Reply,
  type WatchState,
} from "./backend";
import { newIdempotencyKey } from "./idempotency";

const BackendContext = createContext<Backend | null>(null);

export function BackendProvider({ backend, children }: { backend: Backend; children: ReactNode }) {
  return <BackendContext value={backend}>{children}</BackendContext>;
}

export function useBackend(): Backend {
  const backend = useContext(BackendContext);
  if (!backend) throw new Error("useBackend outside BackendProvider");
  return backend;
}

const CONNECTING: ConnectionState = { kind: "connecting" };

export function useConnection(): ConnectionState {
  const { connection } = useBackend();
  return useSyncExternalStore(connection.subscribe, connection.get, () => CONNECTING);
}

export interface Watched<T> {
  /** The latest value; it stays while the connection is away, and the connection's state says how old it is. */
  value: T | undefined;
  state: WatchState;
}

/** Follows a live value; null arguments: nothing to follow. */
export function useWatch<Name extends QueryName>(name: Name, args: Args<Name> | null): Watched<Reply<Name>> {
  const backend = useBackend();
  const key = args === null ? null : JSON.stringify(args);
  const [watched, setWatched] = useState<Watched<Reply<Name>> & { key: string | null }>({ key: null, ...WAITING });
  useEffect(() => {
    if (key === null) return;
    return backend.watch(
      name,
      JSON.parse(key) as Args<Name>,
      (value) => setWatched({ key, value, state: { kind: "live" } }),
      (state) => setWatched((before) => ({ key, value: before.key === key ? before.value : undefined, state })),
    );
  }, [backend, name, key]);
  return watched.key === key ? watched : WAITING;
}

const WAITING = { value: undefined, state: { kind: "waiting" } } as const;

export interface Action<Name extends MutationName> {
  /** Calls the function; null when it was refused, which `error` tells. */
  run: (args: Args<Name>) => Promise<Reply<Name> | null>;
  pending: boolean;
  error: BackendError | null;
  clearError: () => void;
}

/**
 * A changing call as a form or a button needs it. The same arguments sent again after a lost answer carry the
 * same idempotency key, so that pressing the button twice does the thing once.
 */
export function useAction<Name extends MutationName>(
  name: Name,
  onRefused?: (error: BackendError) => void,
): Action<Name> {
  const backend = useBackend();
  const [pending, setPending] = useState(false);
  const [error, setError] = useState<BackendError | null>(null);
  const intent = useRef<{ body: string; key: string } | null>(null);
  const onRefusedRef = useRef(onRefused);
  useEffect(() => {
    onRefusedRef.current = onRefused;
  });

  const run = useCallback(
    async (args: Args<Name>) => {
      const body = JSON.stringify(args);
      if (intent.current?.body !== body) intent.current = { body, key: newIdempotencyKey() };
      setPending(true);
      setError(null);
      try {
        const reply = await backend.call(name, args, { key: intent.current.key });
        intent.current = null;
        return reply;
      } catch (thrown) {
        const refusal = asBackendError(thrown);
        // An answer that came settles the intent; only a lost one is to be repeated under its key.
        if (!refusal.isRetryable) intent.current = null;
        setError(refusal);
        onRefusedRef.current?.(refusal);
        return null;
      } finally {
        setPending(false);
      }
    },
    [backend, name],
  );
  const clearError = useCallback(() => setError(null), []);
  return { run, pending, error, clearError };
}

/** Follows a value for each of several arguments; gives those that have come, in the arguments' order. */
export function useWatchMany<Name extends QueryName>(
  name: Name,
  argsList: readonly Args<Name>[],
): readonly Reply<Name>[] {
  const backend = useBackend();
  const wanted = JSON.stringify(argsList);
  const [values, setValues] = useState<ReadonlyMap<string, Reply<Name>>>(new Map());
  const unwatch = useRef(new Map<string, () => void>());

  useEffect(() => {
    const keys = new Set((JSON.parse(wanted) as Args<Name>[]).map((args) => JSON.stringify(args)));
    // Only the difference is opened and closed, so that one more machine does not disturb the others.
    for (const [key, stop] of unwatch.current) {
      if (keys.has(key)) continue;
      stop();
      unwatch.current.delete(key);
    }
    for (const key of keys) {
      if (unwatch.current.has(key)) continue;
      const stop = backend.watch(name, JSON.parse(key) as Args<Name>, (value) =>
        setValues((before) => new Map(before).set(key, value)),
      );
      unwatch.current.set(key, stop);
    }
  }, [backend, name, wanted]);

  useEffect(() => {
    const open = unwatch.current;
    return () => {
      for (const stop of open.values()) stop();
      open.clear();
    };
  }, [backend, name]);

  return useMemo(() => {
    const keys = (JSON.parse(wanted) as Args<Name>[]).map((args) => JSON.stringify(args));
    return keys.flatMap((key) => values.get(key) ?? []);
  }, [values, wanted]);
}
