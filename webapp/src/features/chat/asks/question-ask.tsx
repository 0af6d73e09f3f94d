"use client";

import { useId, useState, type SubmitEvent } from "react";

import { ErrorNote } from "@/components/error-note";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import type { Ask, AskBody, Question } from "@/lib/backend/wire.gen";
import { readable, readableLine } from "@/lib/text/sanitise";
import { cn } from "@/lib/utils";

import { answersOf, NO_CHOICE, toggled, type Choice } from "./choices";
import { useAnswer } from "./use-answer";

type QuestionBody = Extract<AskBody, { kind: "question" }>;

export function QuestionAsk({ ask, body }: { ask: Ask; body: QuestionBody }) {
  const { answer, busy, error } = useAnswer(ask);
  const [choices, setChoices] = useState<readonly Choice[]>(() => body.questions.map(() => NO_CHOICE));
  const answers = answersOf(body.questions, choices);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (answers) void answer({ kind: "answers", answers });
  };
  return (
    <form className="flex flex-col gap-4 p-3" onSubmit={submit}>
      {body.questions.map((question, index) => (
        <QuestionField
          key={index}
          question={question}
          choice={choices[index] ?? NO_CHOICE}
          onChange={(choice) => setChoices((before) => before.with(index, choice))}
        />
      ))}
      {error && <ErrorNote>{error.message}</ErrorNote>}
      <div className="sticky bottom-0 -mx-3 -mb-3 flex flex-wrap gap-2 border-t bg-card px-3 py-2.5">
        <Button type="submit" size="sm" disabled={busy || !answers} data-testid="ask-answer">
          Answer
        </Button>
        <Button
          size="sm"
          variant="ghost"
          disabled={busy}
          onClick={() => void answer({ kind: "reject" })}
          data-testid="ask-decline"
        >
          Decline to answer
        </Button>
      </div>
    </form>
  );
}

function QuestionField({
  question,
  choice,
  onChange,
}: {
  question: Question;
  choice: Choice;
  onChange: (choice: Choice) => void;
}) {
  const name = useId();
  return (
    <fieldset className="flex min-w-0 flex-col gap-2" data-testid="ask-question">
      <legend className="mb-2 text-sm font-medium">
        {question.header !== "" && (
          <span className="mr-2 text-xs font-normal text-muted-foreground">{readableLine(question.header)}</span>
        )}
        {readable(question.question)}
        {question.multiple && (
          <span className="ml-2 text-xs font-normal text-muted-foreground">several may be chosen</span>
        )}
      </legend>
      <div className="flex flex-col gap-1.5">
        {question.options.map((option) => {
          const checked = choice.labels.includes(option.label);
          return (
            <label
              key={option.label}
              className={cn(
                "flex cursor-pointer items-start gap-2.5 rounded-md border px-2.5 py-1.5 transition-colors hover:bg-accent/60 has-focus-visible:ring-[3px] has-focus-visible:ring-ring/50",
                checked && "border-primary bg-accent/60",
              )}
              data-testid="ask-option"
            >
              <input
                type={question.multiple ? "checkbox" : "radio"}
                name={name}
                checked={checked}
                onChange={() => onChange(toggled(choice, option.label, question.multiple))}
                className="mt-1 accent-(--primary) outline-none"
              />
              <span className="min-w-0">
                <span className="block text-sm">{readableLine(option.label)}</span>
                {option.description !== "" && (
                  <span className="block text-xs text-muted-foreground">{readable(option.description)}</span>
                )}
              </span>
            </label>
          );
        })}
        {question.custom && (
          <Input
            value={choice.own}
            onChange={(event) =>
              onChange(
                question.multiple || event.target.value === ""
                  ? { ...choice, own: event.target.value }
                  : { labels: [], own: event.target.value },
              )
            }
            placeholder={question.options.length > 0 ? "Something else: in your own words" : "Your answer"}
            aria-label="An answer in your own words"
            data-testid="ask-custom"
          />
        )}
      </div>
    </fieldset>
  );
}
