/** A link that looks like a button: it leads to a page where something is done. */

import type { ReactNode } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { useMay } from "@/hooks/use-session";
import type { Permission } from "@/lib/permissions";

interface LinkButtonProps {
  /** The right without which the page refuses; who lacks it sees a disabled button instead. */
  readonly needs?: Permission;
  readonly to: string;
  readonly children: ReactNode;
}

export function LinkButton({ needs, ...rest }: LinkButtonProps) {
  return needs === undefined ? <PlainLink {...rest} /> : <GuardedLink needs={needs} {...rest} />;
}

function GuardedLink({ needs, ...rest }: LinkButtonProps & { readonly needs: Permission }) {
  if (useMay(needs)) return <PlainLink {...rest} />;
  return (
    <Button variant="primary" needs={needs}>
      {rest.children}
    </Button>
  );
}

function PlainLink({ to, children }: Omit<LinkButtonProps, "needs">) {
  return (
    <Link
      to={to}
      className="inline-flex h-9 shrink-0 items-center justify-center gap-1.5 rounded-md bg-action px-3.5 text-sm font-medium whitespace-nowrap text-ink-inverse transition-colors hover:bg-action-hover"
    >
      {children}
    </Link>
  );
}
