/** Tabs with the keyboard of the ARIA practices: arrows move and select, Home and End go to the ends. */

import { type KeyboardEvent, useId } from "react";

import { cn } from "@/lib/class-names";

interface TabsProps<Value extends string> {
  readonly label: string;
  readonly value: Value;
  readonly options: readonly { readonly value: Value; readonly label: string }[];
  readonly onValue: (value: Value) => void;
  /** Id of the panel that the tabs fill. */
  readonly controls: string;
  readonly className?: string;
}

export function Tabs<Value extends string>({ label, value, options, onValue, controls, className }: TabsProps<Value>) {
  const id = useId();
  const move = (event: KeyboardEvent) => {
    const at = options.findIndex((option) => option.value === value);
    const last = options.length - 1;
    const targets: Readonly<Record<string, number>> = {
      ArrowRight: at === last ? 0 : at + 1,
      ArrowLeft: at === 0 ? last : at - 1,
      Home: 0,
      End: last,
    };
    const target = options[targets[event.key] ?? -1];
    if (target === undefined) return;
    event.preventDefault();
    onValue(target.value);
    document.getElementById(`${id}-${target.value}`)?.focus();
  };
  return (
    <div role="tablist" aria-label={label} onKeyDown={move} className={cn("inline-flex rounded-md bg-inset p-0.5", className)}>
      {options.map((option) => {
        const isSelected = option.value === value;
        return (
          <button
            key={option.value}
            id={`${id}-${option.value}`}
            type="button"
            role="tab"
            aria-selected={isSelected}
            aria-controls={controls}
            tabIndex={isSelected ? 0 : -1}
            onClick={() => onValue(option.value)}
            className={cn(
              "h-7 grow rounded-[5px] px-3 text-sm transition-colors",
              isSelected ? "bg-surface font-medium text-ink" : "text-ink-muted hover:text-ink",
            )}
          >
            {option.label}
          </button>
        );
      })}
    </div>
  );
}
