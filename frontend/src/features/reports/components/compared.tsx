/** Two versions or two periods against each other: what the difference means in words, then every measure of both. */

import type { ReactNode } from "react";

import { Cell, Table } from "@/components/ui/table";
import type { Comparison } from "@/features/reports/api/metrics";
import { formatEstimate } from "@/features/reports/words";
import { csvRow } from "@/lib/save-file";

const SHOWN = [
  { name: "success", title: "Success rate", unit: "share" },
  { name: "unaided", title: "Unaided success", unit: "share" },
  { name: "interventions", title: "Interventions per robot-hour", unit: "per_hour" },
  { name: "human_share", title: "Intervention rate", unit: "share" },
  { name: "throughput_sop", title: "Throughput (SOP)", unit: "per_hour" },
] as const;

interface ComparedProps {
  readonly title: string;
  readonly comparison: Comparison;
  /** What to call the two in place of the server's names. */
  readonly labels?: readonly [string, string];
  /** A last row, of the links to the episodes of each. */
  readonly links?: readonly [ReactNode, ReactNode];
}

export function Compared({ title, comparison, labels = [comparison.first.label, comparison.second.label], links }: ComparedProps) {
  // With no episodes of both, the server says the same of both measures.
  const { sentence, interventions_sentence: interventions } = comparison;
  return (
    <>
      <p className="text-base" role="status">
        {sentence} {comparison.success ? `Difference ${signed(comparison.success.value)} percentage points (95 % interval ${signed(comparison.success.low)} to ${signed(comparison.success.high)}).` : ""}
      </p>
      <p className="mb-3 text-base">
        {interventions === sentence ? "" : interventions}{" "}
        {comparison.interventions ? `Difference ${comparison.interventions.value.toFixed(1)} / h (95 % interval ${comparison.interventions.low.toFixed(1)} to ${comparison.interventions.high.toFixed(1)}).` : ""}
      </p>
      <Table caption={title} columns={[{ key: "measure", label: "Measure" }, { key: "first", label: labels[0], isNumeric: true }, { key: "second", label: labels[1], isNumeric: true }]}>
        {SHOWN.map(({ name, title: measure, unit }) => (
          <tr key={name}>
            <Cell>{measure}</Cell>
            {[comparison.first, comparison.second].map((side) => {
              const estimate = side.estimates[name];
              return (
                <Cell key={side.label} isNumeric>
                  {estimate ? formatEstimate(estimate, { unit }) : "–"}
                </Cell>
              );
            })}
          </tr>
        ))}
        {links === undefined ? null : (
          <tr>
            <Cell>Episodes</Cell>
            {links.map((link, side) => (
              <Cell key={labels[side]} isNumeric>
                {link}
              </Cell>
            ))}
          </tr>
        )}
      </Table>
      <p className="mt-2 text-xs text-ink-muted">{comparison.method}</p>
    </>
  );
}

/** Both sides with their intervals, then the differences. */
export function comparedCsv({ first, second, success, interventions, of }: Comparison, labels: readonly [string, string]): string {
  const ends = (side: Comparison["first"], name: string) => {
    const estimate = side.estimates[name];
    return estimate ? [estimate.value, estimate.low, estimate.high, estimate.n] : [null, null, null, null];
  };
  const columns = labels.flatMap((label) => [label, `${label} low`, `${label} high`, `${label} n`]);
  const differences = [[`difference of ${of}`, success] as const, ["difference of interventions", interventions] as const];
  return [
    csvRow(["measure", ...columns]),
    ...SHOWN.map(({ name }) => csvRow([name, ...ends(first, name), ...ends(second, name)])),
    csvRow(["difference", "value", "low", "high", "confidence that the first is higher"]),
    ...differences.map(([name, each]) => csvRow([name, ...(each ? [each.value, each.low, each.high, each.confidence] : [null, null, null, null])])),
  ].join("\n");
}

const signed = (share: number) => `${share > 0 ? "+" : share < 0 ? "−" : ""}${Math.abs(share * 100).toFixed(0)}`;
