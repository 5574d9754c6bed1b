/** A choice among two to four, all in view: radio buttons drawn as one bar. */

import type { LucideIcon } from "lucide-react";
import { useId } from "react";

import { Tooltip } from "@/components/ui/tooltip";
import { cn } from "@/lib/class-names";

interface SegmentedProps<Value extends string> {
  readonly label: string;
  readonly value: Value;
  readonly options: readonly { readonly value: Value; readonly label: string; readonly icon: LucideIcon }[];
  readonly onValue: (value: Value) => void;
}

export function Segmented<Value extends string>({ label, value, options, onValue }: SegmentedProps<Value>) {
  const name = useId();
  return (
    <fieldset className="inline-flex h-8 shrink-0 rounded-md bg-inset p-0.5">
      <legend className="sr-only">{label}</legend>
      {options.map(({ value: option, label: word, icon: Icon }) => (
        <Tooltip key={option} text={word}>
          <label
            className={cn(
              "flex h-7 w-8 cursor-pointer items-center justify-center rounded-[5px] has-focus-visible:outline-2 has-focus-visible:outline-offset-1 has-focus-visible:outline-focus",
              option === value ? "bg-surface text-ink" : "text-ink-muted hover:text-ink",
            )}
          >
            <input
              type="radio"
              className="sr-only"
              name={name}
              value={option}
              checked={option === value}
              onChange={() => onValue(option)}
            />
            <Icon aria-hidden className="size-4" />
            <span className="sr-only">{word}</span>
          </label>
        </Tooltip>
      ))}
    </fieldset>
  );
}
