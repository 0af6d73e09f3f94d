"use client";

import { Input } from "@/components/ui/input";
import { ZONES } from "@/lib/schedule";

import { browserZone, momentIn } from "../zone-time";
import { Field, fieldProps } from "./choice";

/** Hundreds of them, so they are made once. */
const OFFERED = (
  <datalist id="schedule-zones">
    {ZONES.map((zone) => (
      <option key={zone} value={zone} />
    ))}
  </datalist>
);

/** A time zone of the list: typed, with what fits offered by the browser. */
export function ZonePicker(props: {
  zone: string;
  problem: string | undefined;
  now: number;
  onChange: (zone: string) => void;
}) {
  const here = browserZone();
  return (
    <Field id="schedule-zone" label="Time zone" problem={props.problem}>
      <Input
        {...fieldProps("schedule-zone", props.problem)}
        list="schedule-zones"
        autoComplete="off"
        spellCheck={false}
        value={props.zone}
        onFocus={(event) => event.target.select()}
        onChange={(event) => props.onChange(event.target.value)}
      />
      {OFFERED}
      {props.problem === undefined && (
        <p className="text-xs text-muted-foreground">
          {momentIn(props.zone, props.now, props.now)} there now
          {props.zone !== here && (
            <>
              {" · "}
              <button
                type="button"
                className="rounded-sm underline underline-offset-4 outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50"
                onClick={() => props.onChange(here)}
              >
                use {here}
              </button>
            </>
          )}
        </p>
      )}
    </Field>
  );
}
