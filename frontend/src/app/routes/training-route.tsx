/** `/training`: every training run. */

import { Link } from "react-router";

import { LinkButton } from "@/components/ui/link-button";
import { useMay } from "@/hooks/use-session";
import { RunList } from "@/features/training/components/run-list";
import { usePageTitle } from "@/hooks/use-page-title";

export function TrainingRoute() {
  usePageTitle("Training");
  const mayRun = useMay("run_training");
  return (
    <>
      <div className="mb-3 flex min-h-8 flex-wrap items-center justify-between gap-2">
        <h1 className="text-xl font-semibold">Training</h1>
        <div className="flex flex-wrap items-center gap-3">
          <Link to="/training/compare" className="text-sm text-link underline underline-offset-2">
            Compare runs
          </Link>
          {mayRun ? <LinkButton to="/training/new">New run</LinkButton> : null}
        </div>
      </div>
      <RunList />
    </>
  );
}
