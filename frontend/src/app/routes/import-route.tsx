/** `/datasets/imports/:id`: one import, from its check to its result. */

import { useParams } from "react-router";

import { ImportPage } from "@/features/imports/components/import-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function ImportRoute() {
  const { id = "" } = useParams();
  usePageTitle("Import");
  return <ImportPage key={id} id={id} />;
}
