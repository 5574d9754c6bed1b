/** A named number: the label small above, the value below with its unit. Goes inside a <dl>. */

import type { ReactNode } from "react";

import { cn } from "@/lib/class-names";

interface FigureProps {
  readonly label: string;
  readonly children: ReactNode;
  readonly note?: ReactNode;
  readonly className?: string;
}

export function Figure({ label, children, note, className }: FigureProps) {
  return (
    <div className={cn("min-w-0", className)}>
      <dt className="label truncate">{label}</dt>
      <dd className="numeric truncate text-sm">
        {children}
        {note ? <span className="text-ink-muted"> {note}</span> : null}
      </dd>
    </div>
  );
}
