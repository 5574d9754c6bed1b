/** `/episodes`: find episodes, look at them, label many at once. Filter and order are in the URL. */

import { Film, SearchX } from "lucide-react";

import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { useEpisodeCounts, useEpisodes } from "@/features/episodes/api/episodes";
import { type BulkActions, TickBar } from "@/features/episodes/components/bulk-bar";
import { EpisodeTable } from "@/features/episodes/components/episode-table";
import { FilterPanel } from "@/features/episodes/components/filter-panel";
import { SavedFilters } from "@/features/episodes/components/saved-filters";
import { SORTS } from "@/features/episodes/episode-query";
import { type EpisodeQuery, useEpisodeQuery } from "@/features/episodes/hooks/use-episode-query";
import { useSelection } from "@/features/episodes/hooks/use-selection";
import { formatCount, formatNoun } from "@/lib/units/format";

const FOUND_ID = "episodes-found";

export function EpisodeLibrary({ bulkActions }: { readonly bulkActions: BulkActions }) {
  const query = useEpisodeQuery();
  const counts = useEpisodeCounts(query.filter.toString());
  const total = counts.data?.total;
  return (
    <>
      <div className="mb-3 flex flex-wrap items-center gap-x-3 gap-y-2">
        <h1 className="min-h-8 grow text-xl font-semibold">
          Episodes{" "}
          <span role="status" className="numeric text-base font-normal text-ink-muted">
            {total === undefined ? "" : `${formatCount(total)} found`}
          </span>
        </h1>
        <SavedFilters query={query} />
        <SelectField
          label="Order"
          isLabelHidden
          className="w-36"
          options={SORTS}
          value={query.sort}
          onValue={(value) => query.set({ sort: value })}
        />
      </div>
      <div className="grid grid-cols-1 items-start gap-4 lg:grid-cols-[15rem_minmax(0,1fr)]">
        <Card className="p-3">
          {/* Some fifty controls stand before the episodes: a keyboard gets by them at once. */}
          <a href={`#${FOUND_ID}`} className="sr-only rounded-md bg-action text-sm text-ink-inverse focus:not-sr-only focus:mb-3 focus:inline-block focus:px-3 focus:py-1.5">
            Skip the filters
          </a>
          <FilterPanel query={query} counts={counts.data} />
        </Card>
        <div id={FOUND_ID} tabIndex={-1} className="min-w-0 outline-none">
          <Found query={query} total={total ?? 0} actions={bulkActions} />
        </div>
      </div>
    </>
  );
}

interface FoundProps {
  readonly query: EpisodeQuery;
  readonly total: number;
  readonly actions: BulkActions;
}

function Found({ query, total, actions }: FoundProps) {
  const list = useEpisodes(query.text);
  const selection = useSelection(query.text);
  const { data: rows, error, hasNextPage, isFetchingNextPage } = list;
  if (rows === undefined && error !== null) {
    return (
      <Card>
        <ReadFailed title="Episodes could not be read" error={error} onRetry={() => void list.refetch()} />
      </Card>
    );
  }
  if (rows === undefined) return <Skeleton className="h-96" />;
  if (rows.length === 0) return <NothingFound query={query} />;
  return (
    // Cut, not scrolled: a box that scrolls would keep its row from staying in sight.
    <Card className="overflow-clip">
      <TickBar selection={selection} filter={query.filter} total={total} rows={rows} actions={actions} />
      <div aria-busy={list.isPlaceholderData}>
        <EpisodeTable rows={rows} selection={selection} />
      </div>
      <div className="flex flex-wrap items-center justify-center gap-3 p-3">
        <p className="numeric text-sm text-ink-muted">{formatNoun(rows.length, "episode")} shown</p>
        {hasNextPage ? (
          <Button onClick={() => void list.fetchNextPage()} disabled={isFetchingNextPage}>
            {isFetchingNextPage ? "Loading" : "Load more"}
          </Button>
        ) : null}
        {error === null ? null : <p className="text-sm text-fault">Not all could be read. {error.message}</p>}
      </div>
    </Card>
  );
}

function NothingFound({ query }: { readonly query: EpisodeQuery }) {
  const clear = <Button onClick={() => query.replace(new URLSearchParams())}>Clear all filters</Button>;
  return (
    <Card>
      {query.filter.size === 0 ? (
        <Notice icon={Film} title="No episode yet">
          Robots record one for every attempt at a task, and it appears here once all of it has arrived.
        </Notice>
      ) : (
        <Notice icon={SearchX} title="No episode fits these filters" action={clear}>
          Take some away, or look among the archived ones.
        </Notice>
      )}
    </Card>
  );
}
