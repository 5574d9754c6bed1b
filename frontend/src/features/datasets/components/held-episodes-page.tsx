/** `/datasets/:id/versions/:number/episodes`: what a version holds, in the order of export, as it was frozen. */

import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { useDataset } from "@/features/datasets/api/datasets";
import { useHeldEpisodes, useVersion } from "@/features/datasets/api/versions";
import { usePageTitle } from "@/hooks/use-page-title";
import { useUrlText } from "@/hooks/use-url-choice";
import { formatCount, formatDay, formatNoun } from "@/lib/units/format";

const columns = [
  { key: "position", label: "Place", isNumeric: true },
  { key: "episode", label: "Episode" },
  { key: "split", label: "Split" },
  { key: "task", label: "Task" },
  { key: "outcome", label: "Outcome as frozen" },
  { key: "tags", label: "Tags as frozen" },
  { key: "steps", label: "Steps", isNumeric: true },
  { key: "human", label: "Human", isNumeric: true },
  { key: "ended", label: "Ended" },
];

export function HeldEpisodesPage({ id, number }: { readonly id: string; readonly number: number }) {
  const { data: dataset } = useDataset(id);
  const { data: version } = useVersion(id, number);
  const [split, setSplit] = useUrlText("split", "");
  const held = useHeldEpisodes(id, number, split);
  const rows = held.data;
  const name = dataset?.name ?? "Dataset";
  usePageTitle(`${name}, version ${number}`);
  return (
    <>
      <p className="text-sm">
        <Link to={`/datasets/${id}?version=${number}`} className="text-link underline underline-offset-2">
          {`${name}, version ${number}`}
        </Link>
      </p>
      <div className="mb-3 flex flex-wrap items-center gap-3">
        <h1 className="grow text-xl font-semibold">
          Episodes <span className="numeric text-base font-normal text-ink-muted">{version === undefined ? "" : formatCount(version.episodes)}</span>
        </h1>
        <SelectField
          label="Split"
          isLabelHidden
          className="w-44"
          options={[{ value: "", label: "All splits" }, ...(version?.splits ?? []).map((each) => ({ value: each.name, label: each.name }))]}
          value={split}
          onValue={setSplit}
        />
      </div>
      {rows === undefined ? (
        held.error === null ? (
          <Skeleton className="h-96" />
        ) : (
          <Card>
            <ReadFailed title="Episodes could not be read" error={held.error} onRetry={() => void held.refetch()} />
          </Card>
        )
      ) : (
        <Card className="overflow-hidden">
          <Table caption="Episodes of the version" columns={columns}>
            {rows.map((row) => (
              <tr key={row.episode} className="hover:bg-raised">
                <Cell isNumeric>{formatCount(row.position)}</Cell>
                <Cell>
                  <Link to={`/episodes/${row.episode}`} className="text-link underline underline-offset-2">
                    {row.episode.slice(0, 8)}
                  </Link>
                </Cell>
                <Cell>{row.split}</Cell>
                <Cell>{row.task}</Cell>
                <Cell>{row.outcome}</Cell>
                <Cell className="max-w-60 truncate">{row.tags.join(", ")}</Cell>
                <Cell isNumeric>{formatCount(row.steps)}</Cell>
                <Cell isNumeric>{formatCount(row.human_steps)}</Cell>
                <Cell className="numeric whitespace-nowrap text-ink-muted">{formatDay(Date.parse(row.ended_at))}</Cell>
              </tr>
            ))}
          </Table>
          <div className="flex items-center justify-center gap-3 p-3">
            <p className="numeric text-sm text-ink-muted">{formatNoun(rows.length, "episode")} shown</p>
            {held.hasNextPage ? (
              <Button onClick={() => void held.fetchNextPage()} disabled={held.isFetchingNextPage}>
                {held.isFetchingNextPage ? "Loading" : "Load more"}
              </Button>
            ) : null}
          </div>
        </Card>
      )}
    </>
  );
}
