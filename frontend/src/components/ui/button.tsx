/** Buttons. `primary` once a view, `secondary` beside it, `quiet` in bars and tables, `icon` for a sole icon. */

import type { ComponentProps } from "react";

import { cn } from "@/lib/class-names";

const variants = {
  primary: "h-9 px-3.5 bg-action text-ink-inverse font-medium hover:bg-action-hover",
  secondary: "h-8 px-3 border border-line-strong bg-surface text-ink hover:bg-raised",
  quiet: "h-8 px-2.5 text-ink-muted hover:bg-raised hover:text-ink",
  icon: "size-8 text-ink-muted hover:bg-raised hover:text-ink",
} as const;

interface ButtonProps extends ComponentProps<"button"> {
  readonly variant?: keyof typeof variants;
}

export function Button({ variant = "secondary", className, type = "button", ...rest }: ButtonProps) {
  const base =
    "inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md text-sm whitespace-nowrap transition-colors " +
    "disabled:cursor-not-allowed disabled:opacity-60";
  return <button type={type} className={cn(base, variants[variant], className)} {...rest} />;
}
