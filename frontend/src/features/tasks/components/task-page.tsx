/** What can be asked of robots: define, change, archive. Archived tasks stay for the episodes that ran with them. */

import { Archive, ArchiveRestore, ListPlus, Pencil } from "lucide-react";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type Task, useChangeTask, useTasks } from "@/features/tasks/api/tasks";
import { TaskDialog } from "@/features/tasks/components/task-dialog";
import { useMay } from "@/hooks/use-session";
import { useUrlFlag } from "@/hooks/use-url-choice";
import { formatCount, formatPercent } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

const columns = [
  { key: "task", label: "Task" },
  { key: "instruction", label: "Instruction" },
  { key: "success", label: "What counts as success" },
  { key: "driver", label: "Driver's name" },
  { key: "steps", label: "Time limit, steps", isNumeric: true },
  { key: "target", label: "Goal", isNumeric: true },
  { key: "actions", label: "Actions" },
];

export function TaskPage() {
  const [edited, setEdited] = useState<Task | null>(null);
  const [isNew, setNew] = useUrlFlag("new");
  const [withArchived, setWithArchived] = useState(false);
  const mayEdit = useMay("edit_tasks");
  const { data: tasks, error, refetch } = useTasks();
  const shown = tasks?.filter((task) => withArchived || task.is_active);
  return (
    <>
      <div className="mb-3 flex flex-wrap items-center justify-between gap-3">
        <label className="flex min-h-8 items-center gap-2 text-sm">
          <input
            type="checkbox"
            className="size-4 accent-action"
            checked={withArchived}
            onChange={(event) => setWithArchived(event.target.checked)}
          />
          Show archived tasks
        </label>
        <Button needs="edit_tasks" variant="primary" onClick={() => setNew(true)}>
          <ListPlus aria-hidden className="size-4" />
          Define a task
        </Button>
      </div>
      <Card className="overflow-hidden">
        {shown === undefined ? (
          error === null ? (
            <Skeleton className="m-3 h-40" />
          ) : (
            <ReadFailed title="Tasks could not be read" error={error} onRetry={() => void refetch()} />
          )
        ) : shown.length === 0 ? (
          <Notice icon={ListPlus} title="No task yet">
            A task is an instruction, a time limit and the name that the robot&apos;s driver knows it by.
          </Notice>
        ) : (
          <Table caption="Tasks" columns={columns}>
            {shown.map((task) => (
              <TaskRow key={task.id} task={task} onEdit={() => setEdited(task)} />
            ))}
          </Table>
        )}
      </Card>
      {edited === null ? null : <TaskDialog task={edited} onClose={() => setEdited(null)} />}
      {isNew && edited === null && mayEdit ? <TaskDialog task={null} onClose={() => setNew(false)} /> : null}
    </>
  );
}

interface TaskRowProps {
  readonly task: Task;
  readonly onEdit: () => void;
}

function TaskRow({ task, onEdit }: TaskRowProps) {
  const change = useChangeTask();
  const archive = (isActive: boolean) =>
    change.mutate(
      { id: task.id, revision: task.revision, change: { is_active: isActive } },
      {
        onSuccess: (changed) =>
          notify("done", isActive ? `${task.slug} is back. Assign robots to it again.` : `${task.slug} is archived; nobody works at it.`, {
            label: "Undo",
            run: () => change.mutate({ id: task.id, revision: changed.revision, change: { is_active: !isActive } }),
          }),
        onError: (error) => notify("failed", `${task.slug} was not changed. ${error.message}`),
      },
    );
  return (
    <tr className="align-top hover:bg-raised">
      <Cell className="font-medium whitespace-nowrap">
        {task.slug}
        {task.is_active ? null : (
          <Chip icon={Archive} tone="neutral" className="ml-2">
            Archived
          </Chip>
        )}
      </Cell>
      <Cell className="min-w-48">{task.instruction}</Cell>
      <Cell className="min-w-48 whitespace-pre-line text-ink-muted">{task.success_definition || "As the environment says."}</Cell>
      <Cell className="whitespace-nowrap">
        <code className="text-xs">{task.driver_task}</code>
      </Cell>
      <Cell isNumeric>{formatCount(task.max_steps)}</Cell>
      <Cell isNumeric>{formatPercent(fraction(task.target_rate))}</Cell>
      <Cell className="whitespace-nowrap">
        <Button needs="edit_tasks" variant="quiet" onClick={onEdit} aria-label={`Change ${task.slug}`}>
          <Pencil aria-hidden className="size-4" />
          Change
        </Button>
        <Button
          needs="edit_tasks"
          variant="quiet"
          disabled={change.isPending}
          onClick={() => archive(!task.is_active)}
          aria-label={task.is_active ? `Archive ${task.slug}` : `Bring ${task.slug} back`}
        >
          {task.is_active ? <Archive aria-hidden className="size-4" /> : <ArchiveRestore aria-hidden className="size-4" />}
          {task.is_active ? "Archive" : "Bring back"}
        </Button>
      </Cell>
    </tr>
  );
}
