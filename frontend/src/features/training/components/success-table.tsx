/** The chart's numbers as a table, newest first: for screen readers, and for whoever wants to read them off. */

import { Cell, Table } from "@/components/ui/table";
import type { SuccessSeries } from "@/features/training/api/success";
import { proportionOf, thinned, versionAt } from "@/features/training/success-points";
import { formatClock, formatCount, formatPercent } from "@/lib/units/format";
import { formatInterval } from "@/lib/units/interval";

const ROWS = 60;

const columns = [
  { key: "time", label: "Window ends" },
  { key: "rate", label: "Success", isNumeric: true },
  { key: "interval", label: "95 % interval", isNumeric: true },
  { key: "n", label: "n", isNumeric: true },
  { key: "version", label: "Newest version" },
];

export function SuccessTable({ series }: { readonly series: SuccessSeries }) {
  return (
    <Table caption="Autonomous success over time" columns={columns} className="h-full">
      {thinned(series.points, ROWS)
        .toReversed()
        .map((point) => {
          const value = proportionOf(point);
          const version = versionAt(series.versions, point.at_ms);
          return (
            <tr key={point.at_ms}>
              <Cell className="numeric">{formatClock(point.at_ms)}</Cell>
              <Cell isNumeric>{point.n === 0 ? "–" : formatPercent(value.rate)}</Cell>
              <Cell isNumeric>{point.n === 0 ? "–" : formatInterval(value)}</Cell>
              <Cell isNumeric>{formatCount(point.n)}</Cell>
              <Cell className="numeric">{version ? `v${version.number}` : "–"}</Cell>
            </tr>
          );
        })}
    </Table>
  );
}
