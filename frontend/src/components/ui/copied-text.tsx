/** A text to take elsewhere, with a button that copies it. */

import { Check, Copy } from "lucide-react";
import { useState } from "react";

import { Button } from "@/components/ui/button";

interface CopiedTextProps {
  readonly label: string;
  readonly value: string;
}

export function CopiedText({ label, value }: CopiedTextProps) {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      setSaid("Copied.");
    } catch {
      // Browsers give the clipboard to secure pages alone; over plain HTTP from another machine there is none.
      setSaid("The browser did not allow copying: select the text and copy it.");
    }
  };
  return (
    <div>
      <div className="flex items-start gap-2">
        <output
          aria-label={label}
          className="min-w-0 grow rounded-md border border-line bg-inset px-2.5 py-1.5 font-mono text-sm break-all whitespace-pre-line select-all"
        >
          {value}
        </output>
        <Button data-autofocus aria-label={`Copy: ${label}`} onClick={() => void copy()}>
          {said === "Copied." ? <Check aria-hidden className="size-4" /> : <Copy aria-hidden className="size-4" />}
          Copy
        </Button>
      </div>
      <p role="status" className="mt-1 min-h-5 text-sm text-ink-muted">
        {said}
      </p>
    </div>
  );
}
