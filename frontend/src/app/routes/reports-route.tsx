/** `/reports`: charts of the fleet; the learner's come from the training pages. */

import { ReportPage } from "@/features/reports/components/report-page";
import { RunList } from "@/features/training/components/run-list";
import { usePageTitle } from "@/hooks/use-page-title";

export function ReportsRoute() {
  usePageTitle("Reports");
  return (
    <ReportPage
      learner={
        <>
          <p className="mb-3 text-sm text-ink-muted">
            A run&apos;s page charts its losses, sampler ratios, buffer mix, data wait and steps per second, live. Open a run.
          </p>
          <RunList />
        </>
      }
    />
  );
}
