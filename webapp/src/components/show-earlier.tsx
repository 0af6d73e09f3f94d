import { Button } from "@/components/ui/button";

/** Brings the page before the earliest that is shown. */
export function ShowEarlier(props: { loading: boolean; onLoad: () => Promise<void>; testId: string }) {
  return (
    <Button
      variant="outline"
      className="self-center"
      disabled={props.loading}
      onClick={() => void props.onLoad()}
      data-testid={props.testId}
    >
      {props.loading ? "Loading…" : "Show earlier"}
    </Button>
  );
}
