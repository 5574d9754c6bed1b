/** `/datasets/imports`: datasets of others on their way into the library. */

import { ImportsPage } from "@/features/imports/components/imports-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function ImportsRoute() {
  usePageTitle("Imports");
  return <ImportsPage />;
}
