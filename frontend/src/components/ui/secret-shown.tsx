/** A secret that was just made, to be copied now: it is shown nowhere else. */

import { Check, Copy } from "lucide-react";
import { type ReactNode, useState } from "react";

import { Button } from "@/components/ui/button";

interface SecretShownProps {
  /** What screen readers call it. */
  readonly label: string;
  readonly secret: string;
  readonly children: ReactNode;
  readonly onClose: () => void;
}

export function SecretShown({ label, secret, children, onClose }: SecretShownProps) {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(secret);
      setSaid("Copied.");
    } catch {
      // Browsers give the clipboard to secure pages alone; over plain HTTP from another machine there is none.
      setSaid("The browser did not allow copying: select the text and copy it.");
    }
  };
  return (
    <div className="flex flex-col gap-3">
      <p className="text-sm">{children}</p>
      <div className="flex items-center gap-2">
        <output
          aria-label={label}
          className="min-w-0 grow rounded-md border border-line bg-inset px-2.5 py-1.5 font-mono text-sm break-all select-all"
        >
          {secret}
        </output>
        <Button data-autofocus onClick={() => void copy()}>
          {said === "Copied." ? <Check aria-hidden className="size-4" /> : <Copy aria-hidden className="size-4" />}
          Copy
        </Button>
      </div>
      <div className="flex items-center justify-between gap-3">
        <p role="status" className="text-sm text-ink-muted">
          {said}
        </p>
        <Button variant="primary" onClick={onClose}>
          I have it
        </Button>
      </div>
    </div>
  );
}
