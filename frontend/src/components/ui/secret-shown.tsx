/** A secret that was just made, to be copied now: it is shown nowhere else. */

import type { ReactNode } from "react";

import { Button } from "@/components/ui/button";
import { CopiedText } from "@/components/ui/copied-text";

interface SecretShownProps {
  /** What screen readers call it. */
  readonly label: string;
  readonly secret: string;
  readonly children: ReactNode;
  readonly onClose: () => void;
}

export function SecretShown({ label, secret, children, onClose }: SecretShownProps) {
  return (
    <div className="flex flex-col gap-3">
      <p className="text-sm">{children}</p>
      <CopiedText label={label} value={secret} />
      <Button variant="primary" className="self-end" onClick={onClose}>
        I have it
      </Button>
    </div>
  );
}
