/** What can be done with the ticked episodes. Everything here can be taken back from its notice. */

import { Archive, ArchiveRestore, Tag } from "lucide-react";
import { type ReactNode, type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { SelectField, TextField } from "@/components/ui/field";
import { notify } from "@/components/ui/toast";
import { type Chosen, type LabelChange, useBulkLabel, useUndoBulk } from "@/features/episodes/api/labels";
import { toJson } from "@/features/episodes/episode-query";
import type { Selection } from "@/features/episodes/hooks/use-selection";
import { OUTCOME_NAMES, outcomeWord } from "@/features/episodes/words";
import { useRefusal } from "@/hooks/use-session";
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

export function BulkBar({ selection, filter, total, loaded, actions }: BulkBarProps) {
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
    <section aria-label="Ticked episodes" className="flex flex-wrap items-center gap-2 border-b border-line bg-raised px-3 py-2">
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
