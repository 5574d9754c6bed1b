/** `/datasets/:id/freeze`: choose what to freeze and how to split it, see what that is, freeze it. All but the notes is in the URL. */

import { Snowflake } from "lucide-react";
import { type ReactNode, type SubmitEvent, useState } from "react";
import { Link, useNavigate } from "react-router";

import { Button } from "@/components/ui/button";
import { Card, Panel } from "@/components/ui/card";
import { SelectField, TextAreaField, TextField } from "@/components/ui/field";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { notify } from "@/components/ui/toast";
import { type Dataset, useDataset } from "@/features/datasets/api/datasets";
import { type Plan, type Preview, useFreeze, usePreview } from "@/features/datasets/api/versions";
import { PreviewPanel } from "@/features/datasets/components/preview-panel";
import { SplitFields } from "@/features/datasets/components/split-fields";
import { sharesOf, SPLIT_PRESETS, splitsOf, splitsProblem } from "@/features/datasets/dataset-words";
import { useUrlChoice, useUrlText } from "@/hooks/use-url-choice";
import { formatNoun } from "@/lib/units/format";

const SOURCES = ["collected", "filter"] as const;

interface FreezePageProps {
  readonly id: string;
  /** The library's filter of this URL, as the API takes it. */
  readonly filter: Readonly<Record<string, unknown>>;
  /** Where a person sets it. */
  readonly filterPanel: ReactNode;
}

export function FreezePage({ id, filter, filterPanel }: FreezePageProps) {
  const { data: dataset, error, refetch } = useDataset(id);
  if (dataset !== undefined) return <Freezing dataset={dataset} filter={filter} filterPanel={filterPanel} />;
  if (error === null) return <Skeleton className="h-[60dvh]" />;
  return (
    <Card>
      <h1 className="sr-only">Freeze a version</h1>
      <ReadFailed title="The dataset could not be read" error={error} onRetry={() => void refetch()} />
    </Card>
  );
}

function Freezing({ dataset, filter, filterPanel }: Omit<FreezePageProps, "id"> & { readonly dataset: Dataset }) {
  const [source, setSource] = useUrlChoice("episodes", SOURCES, dataset.collected > 0 ? "collected" : "filter");
  const [splits, setSplits] = useUrlText("splits", SPLIT_PRESETS[0].value);
  const [stratified, setStratified] = useUrlText("by_task", "");
  const drafts = splitsOf(splits);
  const problem = splitsProblem(drafts);
  const plan: Plan | null =
    problem === null
      ? { ...(source === "filter" ? { filter } : { collected: true }), splits: sharesOf(drafts), is_stratified: stratified !== "" }
      : null;
  const preview = usePreview(dataset.id, plan);
  const sources = [
    { value: "collected", label: `Collected: ${formatNoun(dataset.collected, "episode")}` },
    { value: "filter", label: "What a filter finds" },
  ];
  return (
    <>
      <p className="text-sm">
        <Link to={`/datasets/${dataset.id}`} className="text-link underline underline-offset-2">
          {dataset.name}
        </Link>
      </p>
      <h1 className="mb-3 text-xl font-semibold">Freeze a version</h1>
      <div className="grid grid-cols-1 items-start gap-4 lg:grid-cols-[18rem_minmax(0,1fr)]">
        <Card className="grid gap-4 p-3">
          <SelectField
            label="Episodes"
            options={sources}
            value={source}
            onValue={(value) => setSource(SOURCES.find((each) => each === value) ?? "filter")}
          />
          {source === "filter" ? filterPanel : null}
        </Card>
        <div className="grid min-w-0 gap-4">
          <PreviewPanel preview={preview.data} error={preview.error} isBusy={preview.isFetching} />
          <Panel title="Splits">
            <SplitFields text={splits} onText={setSplits} />
            <label className="mt-3 flex items-center gap-2 text-sm">
              <input
                type="checkbox"
                className="size-4 accent-action"
                checked={stratified !== ""}
                onChange={(event) => setStratified(event.target.checked ? "1" : "")}
              />
              Split each task by itself
            </label>
            <p role="alert" className="mt-2 min-h-5 text-sm text-fault">
              {problem}
            </p>
          </Panel>
          <FreezeForm dataset={dataset} plan={plan} preview={preview.isPlaceholderData ? undefined : preview.data} />
        </div>
      </div>
    </>
  );
}

interface FreezeFormProps {
  readonly dataset: Dataset;
  readonly plan: Plan | null;
  readonly preview: Preview | undefined;
}

function FreezeForm({ dataset, plan, preview }: FreezeFormProps) {
  const freeze = useFreeze(dataset.id);
  const navigate = useNavigate();
  const [seed, setSeed] = useState("0");
  const [notes, setNotes] = useState("");
  const isSeed = /^-?\d{1,15}$/.test(seed);
  const emptySplit = preview?.splits.find(({ episodes }) => episodes === 0);
  const isReady = plan !== null && preview !== undefined && preview.episodes > 0 && emptySplit === undefined && isSeed;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!isReady) return;
    freeze.mutate(
      { ...plan, seed: Number(seed), notes, expected: preview.fingerprint },
      {
        onSuccess: ({ number, episodes }) => {
          notify("done", `Version ${number} holds ${formatNoun(episodes, "episode")}.`);
          void navigate(`/datasets/${dataset.id}?version=${number}`);
        },
      },
    );
  };
  return (
    <Panel title="Freeze">
      <form onSubmit={submit} className="grid gap-3">
        <TextField
          label="Seed of the split"
          className="w-40"
          inputMode="numeric"
          aria-invalid={!isSeed}
          value={seed}
          onChange={(event) => setSeed(event.target.value.trim())}
        />
        <TextAreaField label="Notes" rows={3} maxLength={4000} value={notes} onChange={(event) => setNotes(event.target.value)} />
        <div className="flex items-center justify-end gap-3">
          <p role="alert" className="min-w-0 grow text-sm text-fault">
            {freeze.error === null
              ? emptySplit === undefined
                ? null
                : `No episode would be in ${emptySplit.name}.`
              : `Nothing was frozen. ${freeze.error.message}`}
          </p>
          <Button needs="curate" type="submit" variant="primary" disabled={!isReady || freeze.isPending}>
            <Snowflake aria-hidden className="size-4" />
            {freeze.isPending ? "Freezing" : `Freeze ${preview === undefined ? "" : formatNoun(preview.episodes, "episode")}`}
          </Button>
        </div>
      </form>
    </Panel>
  );
}
