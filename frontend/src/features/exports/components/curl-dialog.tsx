/** The line that downloads an export in a terminal, to be copied. */

import { Link } from "react-router";

import { CopiedText } from "@/components/ui/copied-text";
import { Dialog } from "@/components/ui/dialog";
import type { ExportRow } from "@/features/exports/api/exports";
import { curlLine } from "@/features/exports/export-words";

interface CurlDialogProps {
  readonly row: ExportRow;
  readonly onClose: () => void;
}

export function CurlDialog({ row, onClose }: CurlDialogProps) {
  return (
    <Dialog title="Download with curl" onClose={onClose}>
      <div className="flex flex-col gap-3 text-sm">
        <p>Run again after a break, it goes on at the byte where it was.</p>
        <CopiedText label="Command" value={curlLine(row, location.origin)} />
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
      </div>
    </Dialog>
  );
}
