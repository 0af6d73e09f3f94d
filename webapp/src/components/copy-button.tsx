"use client";

import { CheckIcon, CopyIcon } from "lucide-react";
import { useEffect, useState, type ComponentProps } from "react";
import { toast } from "sonner";

import { Button } from "@/components/ui/button";
import { copyText } from "@/lib/copy";

const SHOWN_MS = 1_600;

export function CopyButton({
  text,
  label,
  children,
  ...props
}: { text: string; label: string } & ComponentProps<typeof Button>) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    if (await copyText(text)) setCopied(true);
    else toast.error("The browser did not let the page copy. Select the text and copy it by hand.");
  };
  return (
    <Button
      variant="ghost"
      size="icon-sm"
      aria-label={copied ? "Copied" : label}
      title={label}
      onClick={() => void copy()}
      data-copied={copied}
      {...props}
    >
      {copied ? <CheckIcon className="text-ok" /> : <CopyIcon />}
      {children}
    </Button>
  );
}
