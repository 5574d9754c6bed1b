/** The versions of a dataset, the newest first; one is chosen. */

import { Cell, Table } from "@/components/ui/table";
import type { Rate, Version } from "@/features/datasets/api/versions";
import { cn } from "@/lib/class-names";
import { formatBytes, formatCount, formatDay, formatPercent } from "@/lib/units/format";
import { formatInterval } from "@/lib/units/interval";
import { fraction } from "@/lib/units/quantity";

const columns = [
  { key: "version", label: "Version" },
  { key: "frozen", label: "Frozen" },
  { key: "episodes", label: "Episodes", isNumeric: true },
  { key: "frames", label: "Frames", isNumeric: true },
  { key: "success", label: "Success: 95 % interval, n" },
  { key: "size", label: "Size", isNumeric: true },
  { key: "splits", label: "Splits" },
  { key: "digest", label: "Digest" },
];

interface VersionTableProps {
  readonly versions: readonly Version[];
  readonly chosen: number;
  readonly onChoose: (number: number) => void;
}

export function VersionTable({ versions, chosen, onChoose }: VersionTableProps) {
  return (
    <Table caption="Versions of this dataset" columns={columns} className="max-h-72">
      {versions.map((version) => (
        <tr key={version.number} className={cn("hover:bg-raised", version.number === chosen && "bg-inset")}>
          <Cell>
            <button
              type="button"
              aria-pressed={version.number === chosen}
              onClick={() => onChoose(version.number)}
              className="font-medium text-link underline underline-offset-2"
            >
              {`Version ${version.number}`}
            </button>
          </Cell>
          <Cell className="numeric whitespace-nowrap">
            {formatDay(Date.parse(version.frozen_at))} <span className="text-ink-muted">{version.frozen_by_name}</span>
          </Cell>
          <Cell isNumeric>{formatCount(version.episodes)}</Cell>
          <Cell isNumeric>{formatCount(version.frames)}</Cell>
          <Cell className="numeric whitespace-nowrap">
            <SuccessRate rate={version.success} />
          </Cell>
          <Cell isNumeric className="whitespace-nowrap">
            {formatBytes(version.size_bytes)}
          </Cell>
          <Cell className="numeric whitespace-nowrap">
            {version.splits.map(({ name, episodes }) => `${name} ${formatCount(episodes)}`).join(", ")}
          </Cell>
          <Cell>
            <code className="text-xs" title={version.digest}>
              {version.digest.slice(0, 10)}
            </code>
          </Cell>
        </tr>
      ))}
    </Table>
  );
}

export function SuccessRate({ rate }: { readonly rate: Rate | null }) {
  if (rate === null) return <span className="text-ink-muted">none terminated</span>;
  return (
    <>
      {formatPercent(fraction(rate.rate))}
      <span className="text-ink-muted">
        {" "}
        {formatInterval({ low: fraction(rate.low), high: fraction(rate.high) })}, n = {formatCount(rate.n)}
      </span>
    </>
  );
}
