/** Instructions of the dataset and the tasks that they become; a slug that no task has makes one. */

import { TextField } from "@/components/ui/field";
import { Cell, Table } from "@/components/ui/table";
import { FieldProblem } from "@/features/imports/components/field-problem";
import type { PartProps } from "@/features/imports/components/mapping-form";
import { formatCount } from "@/lib/units/format";

const columns = [
  { key: "instruction", label: "Instruction" },
  { key: "episodes", label: "Episodes", isNumeric: true },
  { key: "task", label: "Task (slug)" },
];

export function TaskRows({ report, mapping, change, problem }: PartProps) {
  return (
    <section aria-label="Tasks">
      <h3 className="mb-1 text-sm font-medium">Tasks</h3>
      <p className="mb-1 text-xs text-ink-muted">A slug that no task has makes a new task with the instruction.</p>
      <Table caption="Instructions and their tasks" columns={columns} className="max-h-80">
        {Object.entries(report.tasks).map(([instruction, episodes]) => {
          const wrong = problem(`tasks.${instruction}`);
          return (
            <tr key={instruction} className="align-top">
              <Cell className="max-w-96 truncate pt-2.5" title={instruction}>
                {instruction}
              </Cell>
              <Cell isNumeric className="pt-2.5">
                {formatCount(episodes)}
              </Cell>
              <Cell className="w-72">
                <TextField
                  label={`task of ${instruction}`}
                  isLabelHidden
                  maxLength={100}
                  aria-invalid={wrong !== ""}
                  value={mapping.tasks[instruction] ?? ""}
                  onChange={(event) => change({ tasks: { ...mapping.tasks, [instruction]: event.target.value } })}
                />
                <FieldProblem text={wrong} />
              </Cell>
            </tr>
          );
        })}
      </Table>
    </section>
  );
}
