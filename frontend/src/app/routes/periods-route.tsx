/** `/reports/periods`: two periods against each other. */

import { PeriodsPage } from "@/features/reports/components/periods-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function PeriodsRoute() {
  usePageTitle("Two periods");
  return <PeriodsPage />;
}
