"use client";

import { useCallback, useEffect, useRef, useState } from "react";

import { asBackendError, type Backend, type BackendError } from "@/lib/backend/backend";
import { newIdempotencyKey } from "@/lib/backend/idempotency";
import { useBackend } from "@/lib/backend/react";
import type { CommandId, CommandState, CommandView, MachineId, Operation } from "@/lib/backend/wire.gen";

const ENDED: ReadonlySet<CommandState> = new Set(["succeeded", "failed", "cancelled", "expired"]);

export function hasEnded(state: CommandState): boolean {
  return ENDED.has(state);
}

/** Follows a command until it has ended. Returns what stops following it; the command itself goes on. */
export function followCommand(
  backend: Backend,
  commandId: CommandId,
  onView: (view: CommandView) => void,
  onRefused: (error: BackendError) => void,
): () => void {
  const following: { stop: (() => void) | null; ended: boolean } = { stop: null, ended: false };
  const end = () => {
    following.ended = true;
    following.stop?.();
  };
  const stop = backend.watch(
    "machine.command.view",
    { commandId },
    (view) => {
      if (following.ended) return;
      if (hasEnded(view.command.state)) end();
      onView(view);
    },
    (state) => {
      if (state.kind !== "refused" || following.ended) return;
      end();
      onRefused(state.error);
    },
  );
  following.stop = stop;
  // The first value may have come before there was anything to stop.
  if (following.ended) stop();
  return end;
}

/** Asks for something and follows it to its end. Returns what gives it up: nobody waits for a read any more. */
export function requestAndFollow(
  backend: Backend,
  machineId: MachineId,
  operation: Operation,
  onView: (view: CommandView) => void,
  onRefused: (error: BackendError) => void,
  key: string = newIdempotencyKey(),
): () => void {
  let stop: (() => void) | null = null;
  let left = false;
  void backend
    .call("machine.command.request", { machineId, operation }, { key })
    .then(({ command }) => {
      if (left) return;
      stop = followCommand(backend, command.id, onView, onRefused);
    })
    .catch((thrown: unknown) => {
      if (!left) onRefused(asBackendError(thrown));
    });
  return () => {
    left = true;
    stop?.();
  };
}

export interface Command {
  /** The command as it stands; null before there is one. */
  view: CommandView | null;
  /** Why it was not taken in. */
  error: BackendError | null;
  /** It was asked for and has not ended. */
  pending: boolean;
  run: (operation: Operation) => void;
  reset: () => void;
}

/** One command at a time, as a dialog needs it. When the dialog closes, the command goes on. */
export function useCommand(machineId: MachineId, onSucceeded?: (view: CommandView) => void): Command {
  const backend = useBackend();
  const [state, setState] = useState<{ view: CommandView | null; error: BackendError | null; asked: boolean }>(IDLE);
  const stop = useRef<(() => void) | null>(null);
  const succeeded = useRef(onSucceeded);
  useEffect(() => {
    succeeded.current = onSucceeded;
  });
  useEffect(() => () => stop.current?.(), []);

  const intent = useRef<{ body: string; key: string } | null>(null);

  const run = useCallback(
    (operation: Operation) => {
      stop.current?.();
      // The same asked again after a lost answer is the same request, and is done once.
      const body = JSON.stringify(operation);
      if (intent.current?.body !== body) intent.current = { body, key: newIdempotencyKey() };
      setState({ view: null, error: null, asked: true });
      stop.current = requestAndFollow(
        backend,
        machineId,
        operation,
        (view) => {
          intent.current = null;
          setState({ view, error: null, asked: true });
          if (view.command.state === "succeeded") succeeded.current?.(view);
        },
        (error) => {
          if (!error.isRetryable) intent.current = null;
          setState({ view: null, error, asked: false });
        },
        intent.current.key,
      );
    },
    [backend, machineId],
  );
  const reset = useCallback(() => {
    stop.current?.();
    setState(IDLE);
  }, []);
  const pending = state.asked && (state.view === null || !hasEnded(state.view.command.state));
  return { view: state.view, error: state.error, pending, run, reset };
}

const IDLE = { view: null, error: null, asked: false };
