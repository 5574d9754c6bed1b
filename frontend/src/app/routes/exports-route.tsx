/** `/datasets/exports`: datasets as files. */

import { ExportsPage } from "@/features/exports/components/exports-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function ExportsRoute() {
  usePageTitle("Exports");
  return (
    <>
      <h1 className="mb-2 text-xl font-semibold">Exports</h1>
      <ExportsPage />
    </>
  );
}
