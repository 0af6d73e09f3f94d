import type { AskAnswer, AskBody, Part } from "../wire.gen";
import type { FakeChat, FakeTurn, FakeWorld } from "./world";

const ASK_LIFE_MS = 24 * 60 * 60 * 1_000;

/** A scripted agent: what it does depends on words in the message. */
export class FakeAgent {
  readonly #world: FakeWorld;
  /** Real time is multiplied by this; zero: as fast as the event loop turns. */
  readonly #pace: number;
  readonly #busy = new Set<string>();
  readonly #answers = new Map<string, (answer: AskAnswer) => void>();

  constructor(world: FakeWorld, pace: number) {
    this.#world = world;
    this.#pace = pace;
  }

  answered(askId: string, answer: AskAnswer): void {
    this.#answers.get(askId)?.(answer);
    this.#answers.delete(askId);
  }

  /** Takes the next turn of a chat, if its machine is there and it is not busy. */
  async wake(chat: FakeChat): Promise<void> {
    const machine = this.#world.machines.find(({ id }) => id === chat.summary.machineId);
    if (this.#busy.has(chat.summary.id) || machine?.presence.state !== "online" || chat.summary.state === "closed")
      return;
    this.#busy.add(chat.summary.id);
    if (chat.summary.state === "requested" || chat.summary.state === "hibernated" || chat.summary.state === "failed") {
      await this.#stand(chat, "starting", 300);
      await this.#stand(chat, "ready", 900);
    }
    for (let turn = next(chat); turn && !isClosed(chat); turn = next(chat)) {
      chat.summary.state = "busy";
      await this.#run(chat, turn);
      if (!isClosed(chat)) chat.summary.state = "ready";
      this.#world.changed();
    }
    this.#busy.delete(chat.summary.id);
  }

  async #stand(chat: FakeChat, state: "starting" | "ready", after: number): Promise<void> {
    await this.#sleep(after);
    if (!isClosed(chat)) chat.summary.state = state;
    this.#world.changed();
  }

  async #run(chat: FakeChat, turn: FakeTurn): Promise<void> {
    turn.summary = { ...turn.summary, state: "delivered", deliveredAt: Date.now() };
    this.#world.changed();
    await this.#sleep(500);
    turn.summary = { ...turn.summary, state: "streaming" };
    this.#world.changed();
    for (const step of stepsOf(turn.message)) {
      if (turn.summary.cancelRequested) break;
      const denied = await this.#step(chat, turn, step);
      if (denied) break;
    }
    if (turn.summary.cancelRequested) this.#world.end(turn, "cancelled");
    else if (/\bfail\b/.test(turn.message))
      this.#world.end(turn, "failed", {
        reason: "The model's provider refused the request (HTTP 529, overloaded). Send it again in a moment.",
      });
    else if (/\binterrupt\b/.test(turn.message))
      this.#world.end(turn, "interrupted", { reason: "The machine was restarted while it worked on this." });
    else this.#world.end(turn, "completed");
    chat.summary.activeAt = Date.now();
    this.#world.changed();
  }

  /** True: the person denied it, which ends the turn. */
  async #step(chat: FakeChat, turn: FakeTurn, step: Step): Promise<boolean> {
    if ("ask" in step) {
      const answer = await this.#ask(chat, turn, step.ask);
      return answer.kind === "reject" && !answer.message;
    }
    if ("part" in step) {
      this.#world.write(turn, { op: "replace", part: step.part });
      await this.#sleep(step.after ?? 400);
      return false;
    }
    for (const delta of step.text.match(this.#pace < 0.1 ? /[\s\S]{1,400}/g : /[\s\S]{1,14}/g) ?? []) {
      if (turn.summary.cancelRequested) return false;
      this.#world.write(turn, { op: "append", part: step.to, kind: step.kind ?? "text", delta });
      await this.#sleep(28);
    }
    return false;
  }

  #ask(chat: FakeChat, turn: FakeTurn, body: AskBody): Promise<AskAnswer> {
    const id = this.#world.id("ask");
    const now = Date.now();
    chat.asks.push({
      id,
      chatSessionId: chat.summary.id,
      turnId: turn.summary.id,
      body,
      state: "pending",
      createdAt: now,
      deadline: now + ASK_LIFE_MS,
    });
    // Before anybody hears of it, since a schedule answers at once.
    const answer = new Promise<AskAnswer>((resolve) => this.#answers.set(id, resolve));
    this.#world.changed();
    return answer;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms * this.#pace));
  }
}

function next(chat: FakeChat): FakeTurn | undefined {
  return chat.turns.find(({ summary }) => summary.state === "queued");
}

function isClosed(chat: FakeChat): boolean {
  return chat.summary.state === "closed";
}

type Step =
  { to: string; text: string; kind?: "reasoning" | "tool_output" } | { part: Part; after?: number } | { ask: AskBody };

const COMMAND = '{"command":"cargo test -p transport reconnect","description":"Run the reconnect tests"}';

function stepsOf(message: string): Step[] {
  const steps: Step[] = [
    {
      to: "r1",
      kind: "reasoning",
      text: "The person wants the flaky reconnect test fixed. It races a timer against the socket, so I should look at how the backoff is driven first.\n\nIf the clock is injected, the fix is to advance it instead of sleeping.",
    },
    { to: "p1", text: "I'll look at the test first, then run it.\n" },
    {
      part: tool("t0", "read", "completed", {
        input: '{"filePath":"crates/transport/tests/reconnect.rs"}',
        title: "crates/transport/tests/reconnect.rs",
        output:
          "use transport::fake::FakeClock;\n\n#[tokio::test]\nasync fn reconnects_with_backoff() {\n    let clock = FakeClock::new();\n    …\n}",
      }),
    },
  ];
  if (/\bask\b/.test(message))
    steps.push({
      ask: {
        kind: "permission",
        permission: "bash",
        patterns: ["cargo test -p transport reconnect"],
        detail: COMMAND,
        always: ["cargo test *"],
      },
    });
  if (/\bquestion\b/.test(message)) steps.push({ ask: QUESTION });
  steps.push(
    { part: tool("t1", "bash", "running", { input: COMMAND, title: "Run the reconnect tests" }) },
    {
      to: "t1",
      kind: "tool_output",
      text: "   \u001b[1;32mCompiling\u001b[0m transport v0.1.0\n    \u001b[1;32mFinished\u001b[0m `test` profile in 3.41s\n     Running tests/reconnect.rs\n\nrunning 3 tests\ntest gives_up_after_the_last_try ... ok\ntest reconnects_with_backoff ... ok\ntest resumes_from_the_last_offset ... ok\n\ntest result: \u001b[32mok\u001b[0m. 3 passed; 0 failed; finished in 0.02s\n",
    },
    { part: tool("t1", "bash", "completed", { input: COMMAND, title: "Run the reconnect tests" }), after: 200 },
    {
      part: tool("t2", "edit", "completed", {
        input: JSON.stringify({
          filePath: "crates/transport/tests/reconnect.rs",
          oldString: "tokio::time::sleep(Duration::from_millis(250)).await;",
          newString: "clock.advance(BACKOFF_FIRST);",
        }),
        title: "crates/transport/tests/reconnect.rs",
      }),
    },
    { to: "p2", text: ANSWER },
  );
  return steps;
}

function tool(
  id: string,
  name: string,
  state: "running" | "completed" | "failed",
  rest: { input: string; title: string; output?: string; error?: string },
): Part {
  const now = Date.now();
  return {
    id,
    kind: "tool",
    tool: name,
    state,
    truncated: false,
    startedAt: now - 2_300,
    ...(state === "running" ? {} : { endedAt: now }),
    ...rest,
  };
}

const QUESTION: AskBody = {
  kind: "question",
  questions: [
    {
      header: "Clock",
      question: "How should the tests get their time?",
      options: [
        { label: "Injected clock", description: "A FakeClock is passed in; tests advance it. No sleeping." },
        { label: "tokio's paused time", description: "Less code, but only works on the current-thread runtime." },
      ],
      multiple: false,
      custom: true,
    },
    {
      header: "Scope",
      question: "Which crates should change with it?",
      options: [
        { label: "transport", description: "" },
        { label: "transport-http", description: "" },
        { label: "agent", description: "" },
      ],
      multiple: true,
      custom: false,
    },
  ],
};

export const ANSWER = `The test was flaky because it **slept for real time** while the backoff ran on the injected clock. On a busy machine the two drifted apart.

### What I changed

1. \`reconnects_with_backoff\` now advances the fake clock instead of sleeping
2. The backoff's first step is a named constant, used by the test too
3. A new test covers a resume from the last offset

\`\`\`rust
#[tokio::test]
async fn reconnects_with_backoff() {
    let clock = FakeClock::new();
    let mut transport = Transport::connect(&clock, server.url()).await?;

    server.drop_connections();
    clock.advance(BACKOFF_FIRST); // no sleeping: the clock is ours

    assert_eq!(transport.next().await?, Event::Reconnected { attempt: 1 });
}
\`\`\`

| test | before | after |
| --- | --- | --- |
| \`reconnects_with_backoff\` | 250 ms, fails 1 in 40 | 2 ms, 0 in 2,000 |
| \`resumes_from_the_last_offset\` | — | 3 ms |

> The other sleeps in \`tests/\` have the same problem. Say the word and I'll change them too.

See [tokio's notes on paused time](https://docs.rs/tokio/latest/tokio/time/fn.pause.html) for why I did not use it.`;
