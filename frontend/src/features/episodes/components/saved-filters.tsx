/** Filters kept under a name: choose one, keep this one, forget one. */

import { Bookmark, Trash2 } from "lucide-react";
import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import { notify } from "@/components/ui/toast";
import { type SavedFilter, useRemoveFilter, useSavedFilters, useSaveFilter } from "@/features/episodes/api/saved-filters";
import { DEFAULT_SORT, fromJson, toJson } from "@/features/episodes/episode-query";
import type { EpisodeQuery } from "@/features/episodes/hooks/use-episode-query";

export function SavedFilters({ query }: { readonly query: EpisodeQuery }) {
  const { data: saved = [] } = useSavedFilters();
  const [isOpen, setOpen] = useState(false);
  const isSame = (each: SavedFilter) => asked(fromJson(each.query)) === asked(new URLSearchParams(query.text));
  const current = saved.find(isSame)?.id ?? "";
  const choose = (id: string) => {
    const found = saved.find((each) => each.id === id);
    if (found !== undefined) query.replace(fromJson(found.query));
  };
  return (
    <div className="flex items-end gap-2">
      {saved.length === 0 ? null : (
        <SelectField
          label="Saved filters"
          isLabelHidden
          className="w-44"
          options={[{ value: "", label: "Saved filters" }, ...saved.map(({ id, name }) => ({ value: id, label: name }))]}
          value={current}
          onValue={choose}
        />
      )}
      <Button onClick={() => setOpen(true)}>
        <Bookmark aria-hidden className="size-4" />
        Saved filters
      </Button>
      {isOpen ? <FilterDialog query={query} saved={saved} onClose={() => setOpen(false)} /> : null}
    </div>
  );
}

/** In one order, the default order of rows left out. */
function asked(parameters: URLSearchParams): string {
  const pairs = [...parameters].filter(([name, value]) => name !== "sort" || value !== DEFAULT_SORT);
  return JSON.stringify(pairs.map(([name, value]) => `${name}=${value}`).toSorted());
}

interface FilterDialogProps {
  readonly query: EpisodeQuery;
  readonly saved: readonly SavedFilter[];
  readonly onClose: () => void;
}

function FilterDialog({ query, saved, onClose }: FilterDialogProps) {
  const [name, setName] = useState("");
  const save = useSaveFilter();
  const remove = useRemoveFilter();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    save.mutate(
      { name: name.trim(), query: { ...toJson(query.filter), sort: query.sort } },
      {
        onSuccess: () => {
          notify("done", `The filter is kept as “${name.trim()}”.`);
          onClose();
        },
        onError: (error) => notify("failed", `The filter was not kept. ${error.message}`),
      },
    );
  };
  return (
    <Dialog title="Saved filters" onClose={onClose}>
      <form onSubmit={submit} className="flex items-end gap-2">
        <TextField
          label="Keep what is shown now as"
          className="grow"
          data-autofocus
          required
          maxLength={100}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <Button type="submit" variant="primary" disabled={name.trim() === "" || save.isPending}>
          Keep
        </Button>
      </form>
      <ul className="mt-4 divide-y divide-line">
        {saved.map((each) => (
          <li key={each.id} className="flex items-center justify-between gap-2 py-1 text-sm">
            <span className="truncate">{each.name}</span>
            <Button variant="icon" aria-label={`Forget ${each.name}`} onClick={() => remove.mutate(each.id)}>
              <Trash2 aria-hidden className="size-4" />
            </Button>
          </li>
        ))}
      </ul>
      {saved.length === 0 ? <p className="mt-4 text-sm text-ink-muted">You have kept none yet.</p> : null}
    </Dialog>
  );
}
