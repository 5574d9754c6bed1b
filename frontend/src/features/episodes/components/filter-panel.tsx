/** Everything one may filter by, with how many episodes each choice would leave. */

import { Search } from "lucide-react";
import { type SubmitEvent, useRef, useState } from "react";

import { Button } from "@/components/ui/button";
import { SelectField, TextField } from "@/components/ui/field";
import { type Counts, type Facet, FACETS, type FacetValue } from "@/features/episodes/api/episodes";
import type { SingleField } from "@/features/episodes/episode-query";
import type { EpisodeQuery } from "@/features/episodes/hooks/use-episode-query";
import { FACET_TITLES, facetValue } from "@/features/episodes/words";
import { formatCount } from "@/lib/units/format";

const SHOWN = 8;
const COMMIT_AFTER_MS = 300;
/** Open at first; the others open when something in them is chosen. */
const OPEN: readonly Facet[] = ["task", "outcome", "source", "robot"];

const archived = [
  { value: "", label: "Not archived" },
  { value: "only", label: "Archived only" },
  { value: "any", label: "With archived" },
];

const damaged = [
  { value: "", label: "Any" },
  { value: "only", label: "Damaged only" },
  { value: "no", label: "Not damaged" },
];

interface FilterPanelProps {
  readonly query: EpisodeQuery;
  readonly counts: Counts | undefined;
}

export function FilterPanel({ query, counts }: FilterPanelProps) {
  const { filter, set } = query;
  return (
    <section aria-label="Filters" className="grid content-start gap-3">
      <SearchField value={filter.get("text") ?? ""} onCommit={(text) => set({ text })} />
      {FACETS.map((facet) => (
        <FacetGroup key={facet} facet={facet} values={counts?.facets[facet] ?? []} query={query} />
      ))}
      <ShareRange query={query} />
      {/* Beside each other only where a whole date and its button have room. */}
      <div className="grid grid-cols-[repeat(auto-fit,minmax(9rem,1fr))] gap-2">
        <DayField label="From" field="ended_from" query={query} />
        <DayField label="Before" field="ended_until" query={query} />
      </div>
      <SelectField
        label="Archive"
        options={archived}
        value={filter.get("archived") ?? ""}
        onValue={(value) => set({ archived: value })}
      />
      <SelectField
        label="Stored objects"
        options={damaged}
        value={filter.get("damaged") ?? ""}
        onValue={(value) => set({ damaged: value })}
      />
      {filter.size === 0 ? null : <Button onClick={() => query.replace(new URLSearchParams())}>Clear all filters</Button>}
    </section>
  );
}

/** Commits a moment after the last key, and takes over what else changes the URL. */
function SearchField({ value, onCommit }: { readonly value: string; readonly onCommit: (text: string) => void }) {
  const [draft, setDraft] = useState(value);
  const [seen, setSeen] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  if (seen !== value) {
    setSeen(value);
    if (draft.trim() !== value) setDraft(value);
  }
  const commit = (text: string) => {
    clearTimeout(timer.current);
    onCommit(text.trim());
  };
  const change = (text: string) => {
    setDraft(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => commit(text), COMMIT_AFTER_MS);
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    commit(draft);
  };
  return (
    <form role="search" onSubmit={submit}>
      <TextField
        label="Search text, people, robots, tags"
        isLabelHidden
        type="search"
        placeholder="Search"
        maxLength={200}
        icon={<Search aria-hidden className="size-4" />}
        value={draft}
        onChange={(event) => change(event.target.value)}
      />
    </form>
  );
}

interface FacetGroupProps {
  readonly facet: Facet;
  readonly values: readonly FacetValue[];
  readonly query: EpisodeQuery;
}

function FacetGroup({ facet, values, query }: FacetGroupProps) {
  const [isWhole, setWhole] = useState(false);
  const chosen = query.filter.getAll(facet);
  if (values.length === 0 && chosen.length === 0) return null;
  const shown = isWhole ? values : values.filter(({ value }, place) => place < SHOWN || chosen.includes(value));
  return (
    <details open={OPEN.includes(facet) || chosen.length > 0} className="border-t border-line pt-2">
      <summary className="text-sm font-medium">
        {FACET_TITLES[facet]}
        {chosen.length === 0 ? null : <span className="numeric text-ink-muted"> ({chosen.length})</span>}
      </summary>
      <fieldset className="mt-1">
        <legend className="sr-only">{FACET_TITLES[facet]}</legend>
        {shown.map(({ value, label, count }) => (
          <label key={value} className="flex min-h-7 items-center gap-2 text-sm">
            <input
              type="checkbox"
              className="size-4 shrink-0 accent-action"
              checked={chosen.includes(value)}
              onChange={() => query.toggle(facet, value)}
            />
            <span className="min-w-0 grow truncate" title={label}>
              {facetValue(facet, value, label)}
            </span>
            <span className="numeric text-xs text-ink-muted">{formatCount(count)}</span>
          </label>
        ))}
      </fieldset>
      {shown.length < values.length ? (
        <Button variant="quiet" onClick={() => setWhole(true)}>
          {`Show all ${values.length}`}
        </Button>
      ) : null}
    </details>
  );
}

const SHARES = [
  { value: "", label: "Any", min: "", max: "" },
  { value: "none", label: "None: autonomous", min: "", max: "0" },
  { value: "some", label: "Some", min: "0.000001", max: "" },
  { value: "half", label: "Half or more", min: "0.5", max: "" },
  { value: "all", label: "All of it", min: "1", max: "" },
];

function ShareRange({ query: { filter, set } }: { readonly query: EpisodeQuery }) {
  const [min, max] = [filter.get("share_min") ?? "", filter.get("share_max") ?? ""];
  const known = SHARES.find((share) => share.min === min && share.max === max);
  const isOther = (min !== "" || max !== "") && known === undefined;
  const options = isOther ? [...SHARES, { value: "other", label: `${min || "0"} to ${max || "1"}` }] : SHARES;
  const choose = (value: string) => {
    const share = SHARES.find((each) => each.value === value);
    set({ share_min: share?.min ?? "", share_max: share?.max ?? "" });
  };
  const value = isOther ? "other" : (known?.value ?? "");
  return <SelectField label="Human steps" options={options} value={value} onValue={choose} />;
}

interface DayFieldProps {
  readonly label: string;
  readonly field: SingleField;
  readonly query: EpisodeQuery;
}

/** A day of this browser's calendar; the URL has the moment that it begins. */
function DayField({ label, field, query }: DayFieldProps) {
  const value = query.filter.get(field);
  const time = value === null ? NaN : Date.parse(value);
  const change = (day: string) => query.set({ [field]: day === "" ? "" : new Date(`${day}T00:00:00`).toISOString() });
  return (
    <TextField
      label={label}
      type="date"
      value={Number.isNaN(time) ? "" : localDay(time)}
      onChange={(event) => change(event.target.value)}
    />
  );
}

function localDay(time: number): string {
  const at = new Date(time);
  const two = (part: number) => `${part}`.padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}
