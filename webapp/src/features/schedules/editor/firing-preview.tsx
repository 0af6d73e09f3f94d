"use client";

import { TriangleAlertIcon } from "lucide-react";
import { useMemo } from "react";

import { noteText, type Firing, type When } from "@/lib/schedule";

import { dayIn, timeIn, untilText, zoneOf } from "../zone-time";
import { previewOf } from "./when";

/** The next five firings, and what the clocks have to do with them. */
export function FiringPreview({ when, now }: { when: When; now: number }) {
  // By what it says, since a form makes it anew with each letter that is typed anywhere.
  const key = JSON.stringify(when);
  const { firings, later } = useMemo(() => previewOf(JSON.parse(key) as When, now), [key, now]);
  const zone = zoneOf(when);
  return (
    <section aria-label="Next firings" className="rounded-lg border bg-card" data-testid="firing-preview">
      <h3 className="border-b px-3 py-1.5 text-xs font-medium text-muted-foreground">Next firings</h3>
      {firings.length === 0 && <p className="px-3 py-2 text-sm">It never fires again.</p>}
      <ol className="divide-y">
        {firings.map((firing) => (
          <FiringRow key={firing.at} firing={firing} zone={zone} now={now} />
        ))}
      </ol>
      {later && (
        <div className="border-t" data-testid="later-note">
          <p className="px-3 pt-1.5 text-xs text-muted-foreground">Later on, when the clocks change</p>
          <FiringRow firing={later} zone={zone} now={now} as="div" />
        </div>
      )}
    </section>
  );
}

function FiringRow(props: { firing: Firing; zone: string; now: number; as?: "div" | "li" }) {
  const { firing, zone, now, as: Row = "li" } = props;
  return (
    <Row className="px-3 py-1.5 text-sm" data-testid="firing" data-at={firing.at}>
      <span className="flex flex-wrap items-baseline gap-x-3 tabular-nums">
        <span className="min-w-32">{dayIn(zone, firing.at, now)}</span>
        <span className="font-medium">{timeIn(zone, firing.at)}</span>
        <span className="text-xs text-muted-foreground">UTC{firing.local.slice(16)}</span>
        <span className="ml-auto text-xs text-muted-foreground">{untilText(firing.at, now)}</span>
      </span>
      {firing.notes.map((note) => (
        <span
          key={noteText(note)}
          className="mt-1 flex items-start gap-1.5 rounded-md bg-wait/10 px-2 py-1 text-xs text-wait"
          data-testid="firing-note"
        >
          <TriangleAlertIcon className="mt-px size-3.5 shrink-0" aria-hidden />
          {noteText(note)}
        </span>
      ))}
    </Row>
  );
}
