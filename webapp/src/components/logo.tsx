import type { ComponentProps } from "react";

/** Several lines, one beat: three staves that meet. */
export function Logo(props: ComponentProps<"svg">) {
  return (
    <svg viewBox="0 0 24 24" fill="none" aria-hidden {...props}>
      <rect x="1" y="1" width="22" height="22" rx="6" className="fill-primary" />
      <g className="stroke-primary-foreground" strokeWidth="1.75" strokeLinecap="round">
        <path d="M6 7.5h4.5c2 0 2.5 4.5 4.5 4.5" />
        <path d="M6 12h9" />
        <path d="M6 16.5h4.5c2 0 2.5-4.5 4.5-4.5" />
      </g>
      <circle cx="17" cy="12" r="2" className="fill-primary-foreground" />
    </svg>
  );
}
