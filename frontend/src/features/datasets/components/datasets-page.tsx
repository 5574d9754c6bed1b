/** `/datasets`: every dataset with its newest version. */

import { Database, SearchX } from "lucide-react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { SelectField, TextField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { type Dataset, useDatasets } from "@/features/datasets/api/datasets";
import { DatasetDialog } from "@/features/datasets/components/dataset-dialog";
import { useUrlChoice, useUrlFlag, useUrlText } from "@/hooks/use-url-choice";
import { formatCount, formatDay } from "@/lib/units/format";

const columns = [
  { key: "name", label: "Dataset" },
  { key: "version", label: "Newest version" },
  { key: "episodes", label: "Episodes", isNumeric: true },
  { key: "frames", label: "Frames", isNumeric: true },
  { key: "collected", label: "Collected", isNumeric: true },
  { key: "licence", label: "Licence" },
  { key: "frozen", label: "Frozen" },
];
const ARCHIVED = ["no", "only", "any"] as const;
const archivedOptions = [
  { value: "no", label: "Not archived" },
  { value: "only", label: "Archived only" },
  { value: "any", label: "With archived" },
];

export function DatasetsPage() {
  const [archived, setArchived] = useUrlChoice("archived", ARCHIVED, "no");
  const [search, setSearch] = useUrlText("text", "");
  const [isCreating, setCreating] = useUrlFlag("new");
  const create = (
    <Button variant="primary" needs="curate" onClick={() => setCreating(true)}>
      New dataset
    </Button>
  );
  return (
    <>
      <div className="mb-3 flex flex-wrap items-center gap-x-3 gap-y-2">
        <h1 className="min-h-8 grow text-xl font-semibold">Datasets</h1>
        <TextField
          label="Search by name"
          isLabelHidden
          type="search"
          placeholder="Search"
          className="w-44"
          maxLength={100}
          value={search}
          onChange={(event) => setSearch(event.target.value)}
        />
        <SelectField
          label="Archive"
          isLabelHidden
          className="w-36"
          options={archivedOptions}
          value={archived}
          onValue={(value) => setArchived(ARCHIVED.find((each) => each === value) ?? "no")}
        />
        {create}
      </div>
      <DatasetList archived={archived} search={search} />
      {isCreating ? <DatasetDialog onClose={() => setCreating(false)} /> : null}
    </>
  );
}

function DatasetList({ archived, search }: { readonly archived: string; readonly search: string }) {
  const { data: datasets, error, refetch } = useDatasets(archived, search);
  if (datasets === undefined && error !== null) {
    return (
      <Card>
        <ReadFailed title="Datasets could not be read" error={error} onRetry={() => void refetch()} />
      </Card>
    );
  }
  if (datasets === undefined) return <Skeleton className="h-40" />;
  if (datasets.length === 0) {
    const isFiltered = search !== "" || archived !== "no";
    return (
      <Card>
        {isFiltered ? (
          <Notice icon={SearchX} title="No dataset fits">
            Search for less, or look among the archived ones.
          </Notice>
        ) : (
          <Notice icon={Database} title="No dataset yet">
            A dataset is a named set of episodes, frozen so that it never changes: train from it, or export it. Tick episodes{" "}
            <Link to="/episodes" className="text-link underline underline-offset-2">
              in the library
            </Link>{" "}
            and add them to one.
          </Notice>
        )}
      </Card>
    );
  }
  return (
    <Card className="overflow-hidden">
      <Table caption="Datasets" columns={columns}>
        {datasets.map((dataset) => (
          <DatasetRow key={dataset.id} dataset={dataset} />
        ))}
      </Table>
    </Card>
  );
}

function DatasetRow({ dataset }: { readonly dataset: Dataset }) {
  const { newest_version: version, newest_at: frozen } = dataset;
  const count = (value: number | null) => (value === null ? "–" : formatCount(value));
  return (
    <tr className="hover:bg-raised">
      <Cell className="max-w-80">
        <Link to={`/datasets/${dataset.id}`} className="font-medium text-link underline underline-offset-2">
          {dataset.name}
        </Link>
        {dataset.is_archived ? <span className="text-ink-muted"> (archived)</span> : null}
        {dataset.description === "" ? null : <p className="truncate text-xs text-ink-muted">{dataset.description}</p>}
      </Cell>
      <Cell className="numeric">{version === null ? "none" : `v${version}`}</Cell>
      <Cell isNumeric>{count(dataset.newest_episodes)}</Cell>
      <Cell isNumeric>{count(dataset.newest_frames)}</Cell>
      <Cell isNumeric>{formatCount(dataset.collected)}</Cell>
      <Cell>{dataset.licence === "" ? <span className="text-ink-muted">none</span> : dataset.licence}</Cell>
      <Cell className="numeric whitespace-nowrap text-ink-muted">{frozen === null ? "–" : formatDay(Date.parse(frozen))}</Cell>
    </tr>
  );
}
