/** `/settings/assignments`: which robot works at which task, and when. */

import { AssignmentBoard } from "@/features/assignments/components/assignment-board";
import { usePageTitle } from "@/hooks/use-page-title";

export function AssignmentsRoute() {
  usePageTitle("Assignments");
  return (
    <>
      <h1 className="mb-3 text-xl font-semibold">Assignments</h1>
      <AssignmentBoard />
    </>
  );
}
