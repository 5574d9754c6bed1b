/** `/datasets`: all datasets. */

import { DatasetsPage } from "@/features/datasets/components/datasets-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function DatasetsRoute() {
  usePageTitle("Datasets");
  return <DatasetsPage />;
}
