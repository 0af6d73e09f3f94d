"use client";

import { Textarea } from "@/components/ui/textarea";

import { Choice, Field, fieldProps, Part } from "./choice";
import type { Draft, Problems } from "./draft";
import { USUAL } from "./permissions";

/** What runs may do when nobody is there to ask. */
export function UnattendedPart(props: { draft: Draft; problems: Problems; change: (change: Partial<Draft>) => void }) {
  const { draft, problems, change } = props;
  const tick = (id: string, on: boolean) =>
    change({ ticked: on ? [...draft.ticked, id] : draft.ticked.filter((other) => other !== id) });
  return (
    <Part title="What runs may do while nobody is there">
      <div className="grid gap-2 sm:grid-cols-2">
        <Choice
          type="radio"
          name="unattended"
          checked={draft.unattended === "only"}
          onChange={() => change({ unattended: "only" })}
          label="Only what is listed"
          testId="unattended-only"
        >
          Everything else is denied at once and told in the ledger, so no run waits for a person.
        </Choice>
        <Choice
          type="radio"
          name="unattended"
          checked={draft.unattended === "ask"}
          onChange={() => change({ unattended: "ask" })}
          label="As in a chat"
          testId="unattended-ask"
        >
          opencode&apos;s own settings hold; what it asks waits until somebody answers.
        </Choice>
      </div>
      {draft.unattended === "only" && (
        <>
          <div className="grid gap-2 sm:grid-cols-2" role="group" aria-label="Allowed without asking">
            {USUAL.map(({ id, label, text }) => (
              <Choice
                key={id}
                type="checkbox"
                checked={draft.ticked.includes(id)}
                onChange={(on) => tick(id, on)}
                label={label}
                testId={`allow-${id}`}
              >
                {text}
              </Choice>
            ))}
          </div>
          <Field
            id="schedule-allow-more"
            label="Also allowed, one a line"
            hint="A permission's name, or with a pattern that all of a command must fit: bash:git *"
            problem={problems.allowMore}
          >
            <Textarea
              {...fieldProps("schedule-allow-more", problems.allowMore, true)}
              className="min-h-14 font-mono md:text-xs"
              spellCheck={false}
              placeholder={"bash:git *\nbash:npm test"}
              value={draft.allowMore}
              onChange={(event) => change({ allowMore: event.target.value })}
            />
          </Field>
        </>
      )}
    </Part>
  );
}
