/**
 * A hint on hover and on focus, in CSS alone. Only repeats or rounds off what is there: it is hidden from screen
 * readers, whose text belongs on the element itself.
 */

import type { ReactNode } from "react";

import { cn } from "@/lib/class-names";

interface TooltipProps {
  readonly text: string;
  readonly children: ReactNode;
  readonly side?: "center" | "right";
  readonly className?: string;
}

export function Tooltip({ text, children, side = "center", className }: TooltipProps) {
  return (
    <span className={cn("group/tooltip relative inline-flex min-w-0", className)}>
      {children}
      <span
        aria-hidden
        className={cn(
          "pointer-events-none invisible absolute top-[calc(100%+6px)] z-40 w-max max-w-64 rounded-md border border-line bg-raised px-2 py-1 text-xs text-ink opacity-0 shadow-overlay",
          "transition-opacity delay-300 group-hover/tooltip:visible group-hover/tooltip:opacity-100 group-has-focus-visible/tooltip:visible group-has-focus-visible/tooltip:opacity-100",
          side === "center" ? "left-1/2 -translate-x-1/2" : "right-0",
        )}
      >
        {text}
      </span>
    </span>
  );
}
