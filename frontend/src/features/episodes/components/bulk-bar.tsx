/**
 * The row above the table: tick all, and what can be done with what is ticked. Everything here can be taken back from its
 * notice. Always there and always in sight, so that ticking the first row moves no other.
 */

import { Archive, ArchiveRestore, Tag } from "lucide-react";
import { type ReactNode, type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { SelectField, TextField } from "@/components/ui/field";
import { notify } from "@/components/ui/toast";
import { type Chosen, type LabelChange, useBulkLabel, useUndoBulk } from "@/features/episodes/api/labels";
import type { EpisodeRow } from "@/features/episodes/api/episodes";
import { toJson } from "@/features/episodes/episode-query";
import type { Selection } from "@/features/episodes/hooks/use-selection";
import { OUTCOME_NAMES, outcomeWord } from "@/features/episodes/words";
import { useRefusal } from "@/hooks/use-session";
import { cn } from "@/lib/class-names";
import { formatNoun } from "@/lib/units/format";

const AT_MOST = 5000;
const RECORDED = "recorded";
const outcomes = [
  { value: "", label: "Set outcome" },
  ...OUTCOME_NAMES.map((name) => ({ value: name, label: outcomeWord(name).text })),
  { value: RECORDED, label: "As recorded" },
];

/** What other features do with the chosen episodes; `onDone` unticks them. */
export type BulkActions = (chosen: Chosen, count: number, onDone: () => void) => ReactNode;

interface BulkBarProps {
  readonly selection: Selection;
  readonly filter: URLSearchParams;
  /** How many the filter finds. */
  readonly total: number;
  readonly loaded: number;
  readonly actions: BulkActions;
}

export function TickBar({ rows, ...bar }: Omit<BulkBarProps, "loaded"> & { readonly rows: readonly EpisodeRow[] }) {
  const { selection } = bar;
  const isAllTicked = selection.isAll || (rows.length > 0 && selection.ids.size === rows.length);
  const hasTicked = selection.isAll || selection.ids.size > 0;
  const toggleAll = () => {
    if (isAllTicked) selection.clear();
    else selection.setAll(rows.map(({ id }) => id));
  };
  return (
    <div className={cn("sticky top-12 z-20 flex min-h-12 items-center gap-2 border-b border-line px-3 py-1.5", hasTicked ? "bg-raised" : "bg-surface")}>
      <label className="flex min-h-6 items-center gap-2 text-sm">
        <input type="checkbox" className="size-4 accent-action" checked={isAllTicked} onChange={toggleAll} />
        <span className={hasTicked ? "sr-only" : undefined}>Tick all that are shown</span>
      </label>
      <BulkBar {...bar} loaded={rows.length} />
    </div>
  );
}

function BulkBar({ selection, filter, total, loaded, actions }: BulkBarProps) {
  const { ids, isAll } = selection;
  const chosen: Chosen = isAll ? { filter: toJson(filter) } : { ids: [...ids] };
  const { apply, isPending } = useBulk(chosen, selection.clear);
  const refusal = useRefusal("label_bulk");
  const count = isAll ? total : ids.size;
  if (count === 0) return null;
  const isTooMany = count > AT_MOST;
  const setOutcome = (value: string) => {
    if (value !== "") apply({ outcome: value === RECORDED ? null : value });
  };
  return (
    <section aria-label="Ticked episodes" className="flex flex-wrap items-center gap-2">
      <p className="numeric mr-2 text-sm font-medium">{formatNoun(count, "episode")} ticked</p>
      {!isAll && ids.size === loaded && total > loaded ? (
        <Button variant="quiet" onClick={selection.setEverything}>{`Tick all ${formatNoun(total, "episode")} found`}</Button>
      ) : null}
      <fieldset disabled={isPending || isTooMany || refusal !== null} title={refusal ?? undefined} className="flex flex-wrap items-center gap-2">
        <legend className="sr-only">Change them</legend>
        <TagForm onTag={(tag) => apply({ add_tags: [tag] })} />
        <SelectField label="Set outcome" isLabelHidden className="w-36" options={outcomes} value="" onValue={setOutcome} />
        {filter.get("archived") === "only" ? (
          <Button needs="archive" onClick={() => apply({ is_archived: false })}>
            <ArchiveRestore aria-hidden className="size-4" />
            Bring back
          </Button>
        ) : (
          <Button needs="archive" onClick={() => apply({ is_archived: true })}>
            <Archive aria-hidden className="size-4" />
            Archive
          </Button>
        )}
      </fieldset>
      {actions(chosen, count, selection.clear)}
      <Button variant="quiet" onClick={selection.clear}>
        Untick
      </Button>
      {refusal === null ? null : <p className="text-sm text-ink-muted">{refusal}</p>}
      {isTooMany ? <p className="text-sm text-ink-muted">At most 5,000 are changed at once: narrow the filter.</p> : null}
    </section>
  );
}

function TagForm({ onTag }: { readonly onTag: (tag: string) => void }) {
  const [tag, setTag] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (tag.trim() === "") return;
    onTag(tag.trim());
    setTag("");
  };
  return (
    <form onSubmit={submit} className="flex gap-1">
      <TextField
        label="Tag to add"
        isLabelHidden
        placeholder="Tag to add"
        className="w-32"
        maxLength={64}
        value={tag}
        onChange={(event) => setTag(event.target.value)}
      />
      <Button type="submit">
        <Tag aria-hidden className="size-4" />
        Add
      </Button>
    </form>
  );
}

function useBulk(chosen: Chosen, onDone: () => void) {
  const label = useBulkLabel();
  const undo = useUndoBulk();
  const takeBack = (batch: string) =>
    undo.mutate(batch, {
      onSuccess: ({ changed, unchanged }) =>
        notify("done", `Taken back for ${formatNoun(changed, "episode")}${unchanged === 0 ? "." : `; ${unchanged} changed since and stay.`}`),
      onError: (error) => notify("failed", `It was not taken back. ${error.message}`),
    });
  const apply = (change: LabelChange) =>
    label.mutate(
      { chosen, change },
      {
        onSuccess: ({ batch, changed, unchanged }) => {
          const rest = unchanged === 0 ? "" : ` ${unchanged} were so already.`;
          if (changed === 0) notify("done", "They were all so already.");
          else notify("done", `Changed ${formatNoun(changed, "episode")}.${rest}`, { label: "Undo", run: () => takeBack(batch) });
          onDone();
        },
        onError: (error) => notify("failed", `Nothing was changed. ${error.message}`),
      },
    );
  return { apply, isPending: label.isPending };
}
