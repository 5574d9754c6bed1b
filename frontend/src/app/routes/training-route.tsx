/** `/training`: every training run. */

import { RunList } from "@/features/training/components/run-list";
import { usePageTitle } from "@/hooks/use-page-title";

export function TrainingRoute() {
  usePageTitle("Training");
  return (
    <>
      <h1 className="mb-3 min-h-8 text-xl font-semibold">Training</h1>
      <RunList />
    </>
  );
}
