/** What changed from an older version to this one. */

import { Link } from "react-router";

import { Panel } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { Skeleton } from "@/components/ui/skeleton";
import type { Dataset } from "@/features/datasets/api/datasets";
import { type Difference, useCompared, type Version } from "@/features/datasets/api/versions";
import { useUrlText } from "@/hooks/use-url-choice";
import { formatNoun } from "@/lib/units/format";

const SHOWN = 8;

interface VersionDifferenceProps {
  readonly dataset: Dataset;
  readonly version: Version;
  readonly others: readonly Version[];
}

export function VersionDifference({ dataset, version, others }: VersionDifferenceProps) {
  const [asked, setAsked] = useUrlText("against", "");
  const options = others.filter(({ number }) => number !== version.number);
  const before = options.find(({ number }) => `${number}` === asked) ?? options.find(({ number }) => number < version.number);
  const { data, error } = useCompared(dataset.id, before?.number ?? null, version.number);
  if (options.length === 0) {
    return (
      <Panel title="Changes">
        <p className="text-sm text-ink-muted">This is the only version: there is nothing to compare it with.</p>
      </Panel>
    );
  }
  return (
    <Panel
      title="Changes"
      actions={
        <SelectField
          label="Compared with"
          isLabelHidden
          className="w-40"
          options={[
            ...(before === undefined ? [{ value: "", label: "Compare with" }] : []),
            ...options.map(({ number }) => ({ value: `${number}`, label: `since version ${number}` })),
          ]}
          value={before === undefined ? "" : `${before.number}`}
          onValue={setAsked}
        />
      }
    >
      {error === null ? null : <p className="text-sm text-fault">They could not be compared. {error.message}</p>}
      {data === undefined ? (
        before === undefined || error !== null ? null : <Skeleton className="h-24" />
      ) : (
        <dl className="grid gap-2 text-sm">
          <Change word="Added" difference={data.added} />
          <Change word="Removed" difference={data.removed} />
          <Change word="Other label" difference={data.relabelled} />
          <Change word="Other split" difference={data.moved} />
        </dl>
      )}
    </Panel>
  );
}

function Change({ word, difference }: { readonly word: string; readonly difference: Difference }) {
  const shown = difference.episodes.slice(0, SHOWN);
  const rest = difference.count - shown.length;
  return (
    <div className="grid grid-cols-[7rem_minmax(0,1fr)] gap-2">
      <dt>{word}</dt>
      <dd className="numeric min-w-0">
        {formatNoun(difference.count, "episode")}
        {shown.length === 0 ? null : (
          <span className="block text-xs text-ink-muted">
            {shown.map(({ episode }) => (
              <Link key={episode} to={`/episodes/${episode}`} className="mr-2 text-link underline underline-offset-2">
                {episode.slice(0, 8)}
              </Link>
            ))}
            {rest > 0 ? `and ${rest} more` : null}
          </span>
        )}
      </dd>
    </div>
  );
}
