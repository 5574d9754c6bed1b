/** This version against another one of its run, task by task: the difference, its interval, and what that means. */

import { Panel } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { Cell, Table } from "@/components/ui/table";
import { type Comparison, useComparison, useLineage, type Version } from "@/features/versions/api/versions";
import { MEASURE_NAMES, pointsText, rateText } from "@/features/versions/words";
import { useUrlText } from "@/hooks/use-url-choice";

const columns = [
  { key: "measure", label: "Measure" },
  { key: "one", label: "This one", isNumeric: true },
  { key: "other", label: "The other", isNumeric: true },
  { key: "difference", label: "Difference, 95 % interval", isNumeric: true },
];

export function ComparePanel({ version }: { readonly version: Version }) {
  const { data } = useLineage(version.run);
  const others = (data?.versions ?? []).filter(({ id }) => id !== version.id).toReversed();
  const parent = others.find(({ id }) => id === version.parent)?.id; // a base's is of another run
  const usual = parent ?? others.find(({ stages }) => stages.includes("current"))?.id ?? others[0]?.id ?? "";
  const [chosen, choose] = useUrlText("with", "");
  const other = others.some(({ id }) => id === chosen) ? chosen : usual;
  const comparison = useComparison(version.id, other === "" ? null : other);
  return (
    <Panel
      title="Compared with"
      actions={
        others.length === 0 ? null : (
          <SelectField
            label="Version to compare with"
            isLabelHidden
            value={other}
            options={others.map(({ id, number, stages }) => ({
              value: id,
              label: `v${number}${stages.includes("current") ? ", current" : ""}${id === version.parent ? ", its parent" : ""}`,
            }))}
            onValue={choose}
            className="w-44"
          />
        )
      }
    >
      {others.length === 0 ? (
        <p className="text-sm text-ink-muted">There is no other version of this run.</p>
      ) : (
        <Compared measures={comparison.data?.measures ?? []} problem={comparison.data === undefined ? comparison.error?.message : undefined} />
      )}
    </Panel>
  );
}

function Compared({ measures, problem }: { readonly measures: readonly Comparison[]; readonly problem: string | undefined }) {
  if (problem !== undefined) return <p className="text-sm text-fault">{problem}</p>;
  const [success] = measures;
  return (
    <>
      <p className="mb-2 min-h-6 text-base font-medium">{success?.sentence}</p>
      <Table caption="Comparison" columns={columns}>
        {measures.map((row) => (
          <tr key={row.measure}>
            <Cell>{MEASURE_NAMES[row.measure] ?? row.measure}</Cell>
            <Cell isNumeric>{rateText(row.one)}</Cell>
            <Cell isNumeric>{rateText(row.other)}</Cell>
            <Cell isNumeric className="whitespace-nowrap">
              {row.difference === null || row.low === null || row.high === null
                ? "–"
                : pointsText({ estimate: row.difference, low: row.low, high: row.high })}
            </Cell>
          </tr>
        ))}
      </Table>
      <p className="mt-2 text-xs text-ink-muted">
        Over the tasks that both worked at, task by task (Cochran-Mantel-Haenszel): easier tasks flatter nobody.
      </p>
    </>
  );
}
