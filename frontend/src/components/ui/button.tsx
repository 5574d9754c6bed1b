/**
 * Buttons. `primary` once a view, `secondary` beside it, `quiet` in bars and tables, `icon` for a sole icon.
 * `needs`: the right that pressing it takes; who lacks it sees the button disabled, with the reason as its description.
 */

import { type ComponentProps, useState } from "react";

import { useRefusal } from "@/hooks/use-session";
import { cn } from "@/lib/class-names";
import type { Permission } from "@/lib/permissions";

const variants = {
  primary: "h-9 px-3.5 bg-action text-ink-inverse font-medium hover:bg-action-hover",
  secondary: "h-8 px-3 border border-line-strong bg-surface text-ink hover:bg-raised",
  quiet: "h-8 px-2.5 text-ink-muted hover:bg-raised hover:text-ink",
  icon: "size-8 text-ink-muted hover:bg-raised hover:text-ink",
} as const;

interface ButtonProps extends ComponentProps<"button"> {
  readonly variant?: keyof typeof variants;
  readonly needs?: Permission;
}

export function Button({ needs, ...rest }: ButtonProps) {
  return needs === undefined ? <PlainButton {...rest} /> : <GuardedButton needs={needs} {...rest} />;
}

function GuardedButton({ needs, ...rest }: ButtonProps & { readonly needs: Permission }) {
  const refusal = useRefusal(needs);
  return refusal === null ? <PlainButton {...rest} /> : <PlainButton {...rest} disabled title={refusal} />;
}

/** A button that turns itself off by being pressed keeps the focus: the browser takes it from what is `disabled`. */
function PlainButton({ variant = "secondary", className, type = "button", disabled = false, onClick, onFocus, onBlur, ...rest }: Omit<ButtonProps, "needs">) {
  const [hasFocus, setFocus] = useState(false);
  const isHeld = disabled && hasFocus;
  const base =
    "inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md text-sm whitespace-nowrap transition-colors " +
    "disabled:cursor-not-allowed disabled:opacity-60 aria-disabled:cursor-not-allowed aria-disabled:opacity-60";
  return (
    <button
      type={type}
      className={cn(base, variants[variant], className)}
      disabled={disabled && !isHeld}
      {...(isHeld ? { "aria-disabled": true } : {})}
      onClick={(event) => (isHeld ? event.preventDefault() : onClick?.(event))}
      onFocus={(event) => {
        setFocus(true);
        onFocus?.(event);
      }}
      onBlur={(event) => {
        setFocus(false);
        onBlur?.(event);
      }}
      {...rest}
    />
  );
}
