/** `/settings/tasks`: what can be asked of robots. */

import { TaskPage } from "@/features/tasks/components/task-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function TasksRoute() {
  usePageTitle("Tasks");
  return (
    <>
      <h1 className="mb-3 text-xl font-semibold">Tasks</h1>
      <TaskPage />
    </>
  );
}
