/** A choice of any number of values behind one button; nothing ticked means all. */

import { ChevronDown } from "lucide-react";
import { useState } from "react";

import { cn } from "@/lib/class-names";

interface MultiSelectProps {
  readonly label: string;
  /** What the button says when nothing is ticked: "All tasks". */
  readonly all: string;
  readonly values: readonly string[];
  readonly options: readonly { readonly value: string; readonly label: string }[];
  readonly onValues: (values: readonly string[]) => void;
  readonly className?: string;
}

const SEARCH_FROM = 12;

export function MultiSelect({ label, all, values, options, onValues, className }: MultiSelectProps) {
  const [search, setSearch] = useState("");
  const shown = options.filter((option) => option.label.toLowerCase().includes(search.toLowerCase()));
  const first = options.find((option) => option.value === values[0])?.label ?? values[0];
  const said = values.length === 0 ? all : values.length === 1 ? first : `${values.length} of ${label.toLowerCase()}`;
  const toggle = (value: string) =>
    onValues(values.includes(value) ? values.filter((each) => each !== value) : [...values, value]);
  return (
    <details
      className={cn("relative", className)}
      onKeyDown={(event) => {
        if (event.key === "Escape") event.currentTarget.open = false;
      }}
    >
      <summary
        aria-label={`${label}: ${said ?? ""}`}
        className="flex h-8 cursor-pointer list-none items-center justify-between gap-2 rounded-md border border-line-strong bg-surface px-2.5 text-sm hover:border-ink-muted"
      >
        <span className="truncate">{said}</span>
        <ChevronDown aria-hidden className="size-4 shrink-0 text-ink-muted" />
      </summary>
      <fieldset className="absolute z-40 mt-1 max-h-80 w-72 max-w-[90vw] overflow-auto rounded-md border border-line bg-raised p-2 shadow-overlay">
        <legend className="sr-only">{label}</legend>
        {options.length > SEARCH_FROM ? (
          <input
            type="search"
            aria-label={`Find in ${label.toLowerCase()}`}
            placeholder="Find"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
            className="mb-1 h-8 w-full rounded-md border border-line-strong bg-surface px-2 text-sm"
          />
        ) : null}
        {values.length > 0 ? (
          <button type="button" className="mb-1 px-1.5 text-sm text-link underline" onClick={() => onValues([])}>
            {all}
          </button>
        ) : null}
        {shown.map((option) => (
          <label key={option.value} className="flex cursor-pointer items-center gap-2 rounded px-1.5 py-1 text-sm hover:bg-surface">
            <input type="checkbox" checked={values.includes(option.value)} onChange={() => toggle(option.value)} />
            <span className="truncate">{option.label}</span>
          </label>
        ))}
        {shown.length === 0 ? <p className="px-1.5 py-1 text-sm text-ink-muted">Nothing to choose from.</p> : null}
      </fieldset>
    </details>
  );
}
