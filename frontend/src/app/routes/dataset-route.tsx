/** `/datasets/:id`: one dataset. What other features offer for a version is put in here. */

import { useParams } from "react-router";

import { DatasetPage, type VersionActions } from "@/features/datasets/components/dataset-page";
import { ExportLink } from "@/features/exports/components/export-link";

const actions: VersionActions = (_, version) => <ExportLink of={{ dataset_version: version.id }} />;

export function DatasetRoute() {
  const { id = "" } = useParams();
  return <DatasetPage key={id} id={id} actions={actions} />;
}
