/** A one-time link, to be passed on: until when it works, and whether it was mailed as well. */

import type { ReactNode } from "react";

import { Button } from "@/components/ui/button";
import { CopiedText } from "@/components/ui/copied-text";
import type { OneTimeLink } from "@/features/people/api/people";
import { formatDay } from "@/lib/units/format";

interface LinkShownProps {
  readonly link: OneTimeLink;
  readonly email: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

export function LinkShown({ link, email, onClose, children }: LinkShownProps) {
  return (
    <div className="flex flex-col gap-3">
      <p className="text-sm">
        {children} It works once, until {formatDay(Date.parse(link.expires_at))}, and is shown only now.
      </p>
      <CopiedText label="Link" value={link.url} />
      <div className="flex items-center justify-between gap-3">
        <p className="text-sm text-ink-muted">
          {link.is_mailed ? `Mailed to ${email} as well.` : email === "" ? "" : "Not mailed: this server has no mail set up."}
        </p>
        <Button variant="primary" onClick={onClose}>
          Done
        </Button>
      </div>
    </div>
  );
}
