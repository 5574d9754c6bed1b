/** The line that downloads an export in a terminal, to be copied. */

import { Check, Copy } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import type { ExportRow } from "@/features/exports/api/exports";
import { curlLine } from "@/features/exports/export-words";

interface CurlDialogProps {
  readonly row: ExportRow;
  readonly onClose: () => void;
}

export function CurlDialog({ row, onClose }: CurlDialogProps) {
  const [said, setSaid] = useState("");
  const line = curlLine(row, location.origin);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(line);
      setSaid("Copied.");
    } catch {
      // Browsers give the clipboard to secure pages alone; over plain HTTP from another machine there is none.
      setSaid("The browser did not allow copying: select the text and copy it.");
    }
  };
  return (
    <Dialog title="Download with curl" onClose={onClose}>
      <div className="flex flex-col gap-3 text-sm">
        <p>Run again after a break, it goes on at the byte where it was.</p>
        <div className="flex items-start gap-2">
          <output aria-label="Command" className="min-w-0 grow rounded-md border border-line bg-inset px-2.5 py-1.5 font-mono text-xs break-all select-all">
            {line}
          </output>
          <Button data-autofocus onClick={() => void copy()}>
            {said === "Copied." ? <Check aria-hidden className="size-4" /> : <Copy aria-hidden className="size-4" />}
            Copy
          </Button>
        </div>
        <p className="text-ink-muted">
          SOP_TOKEN is a token with the scope exports:read, made under{" "}
          <Link to="/settings/tokens" className="text-link underline underline-offset-2">
            Settings
          </Link>
          . Unpack with <code>tar -xf</code>, check with <code>sha256sum -c SHA256SUMS</code>.
        </p>
        <p className="text-xs break-all text-ink-muted">
          SHA-256 of SHA256SUMS: <code>{row.sha256}</code>
        </p>
        <p role="status" className="min-h-5 text-ink-muted">
          {said}
        </p>
      </div>
    </Dialog>
  );
}
