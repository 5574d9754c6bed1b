/** `/settings/tasks`: what can be asked of robots. */

import { TaskPage } from "@/features/tasks/components/task-page";
import { useMay } from "@/features/people/api/session";
import { usePageTitle } from "@/hooks/use-page-title";

export function TasksRoute() {
  usePageTitle("Tasks");
  const canEdit = useMay("edit_tasks");
  return (
    <>
      <h1 className="mb-3 text-xl font-semibold">Tasks</h1>
      <TaskPage canEdit={canEdit} />
    </>
  );
}
