/** A link that looks like a button: it leads to a page where something is done. */

import type { ReactNode } from "react";
import { Link } from "react-router";

interface LinkButtonProps {
  readonly to: string;
  readonly children: ReactNode;
}

export function LinkButton({ to, children }: LinkButtonProps) {
  return (
    <Link
      to={to}
      className="inline-flex h-9 shrink-0 items-center justify-center gap-1.5 rounded-md bg-action px-3.5 text-sm font-medium whitespace-nowrap text-ink-inverse transition-colors hover:bg-action-hover"
    >
      {children}
    </Link>
  );
}
