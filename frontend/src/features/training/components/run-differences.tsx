/** What a copy sets otherwise than the run that it was made from. */

import { Panel } from "@/components/ui/card";
import { Cell, Table } from "@/components/ui/table";
import { algorithmName } from "@/features/training/run-words";
import type { Difference } from "@/features/training/settings";

const columns = [
  { key: "setting", label: "Setting" },
  { key: "before", label: "There", isNumeric: true },
  { key: "now", label: "Here", isNumeric: true },
];

interface DifferencesProps {
  readonly name: string;
  readonly rows: readonly Difference[];
  /** Before and now; null while it is the same. */
  readonly algorithm: readonly [string, string] | null;
  /** Settings of the run that this form does not offer; a copy leaves them out. */
  readonly dropped: readonly string[];
}

export function Differences({ name, rows, algorithm, dropped }: DifferencesProps) {
  return (
    <Panel title={`What differs from ${name}`}>
      {rows.length === 0 && algorithm === null ? (
        <p className="text-sm text-ink-muted">No setting yet.</p>
      ) : (
        <Table caption={`Settings that differ from ${name}`} columns={columns}>
          {algorithm === null ? null : (
            <tr>
              <Cell>Algorithm</Cell>
              <Cell isNumeric>{algorithmName(algorithm[0])}</Cell>
              <Cell isNumeric>{algorithmName(algorithm[1])}</Cell>
            </tr>
          )}
          {rows.map(({ setting, before, now }) => (
            <tr key={setting.path}>
              <Cell>{`${setting.group}: ${setting.label}`}</Cell>
              <Cell isNumeric>{before === "" ? "none" : before}</Cell>
              <Cell isNumeric>{now === "" ? "none" : now}</Cell>
            </tr>
          ))}
        </Table>
      )}
      {dropped.length === 0 ? null : (
        <p className="mt-2 text-sm text-caution">Left out, since this learner or algorithm has no such setting: {dropped.join(", ")}.</p>
      )}
    </Panel>
  );
}
