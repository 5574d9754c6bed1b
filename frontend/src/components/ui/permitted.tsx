/** A part of a page that takes a right: who lacks it sees the reason, and the controls inside disabled. */

import type { ReactNode } from "react";

import { useRefusal } from "@/hooks/use-session";
import type { Permission } from "@/lib/permissions";

interface PermittedProps {
  readonly needs: Permission;
  readonly children: ReactNode;
}

export function Permitted({ needs, children }: PermittedProps) {
  const refusal = useRefusal(needs);
  if (refusal === null) return children;
  return (
    <>
      <p className="mb-2 text-sm text-ink-muted">{refusal}</p>
      <fieldset disabled className="min-w-0">
        <legend className="sr-only">{refusal}</legend>
        {children}
      </fieldset>
    </>
  );
}
