/** `/episodes`: the library, and what other features do with ticked episodes. */

import { AddToDataset } from "@/features/datasets/components/add-to-dataset";
import type { BulkActions } from "@/features/episodes/components/bulk-bar";
import { EpisodeLibrary } from "@/features/episodes/components/episode-library";
import { ExportLink } from "@/features/exports/components/export-link";
import { usePageTitle } from "@/hooks/use-page-title";

const actions: BulkActions = (chosen, count, onDone) => (
  <>
    <AddToDataset chosen={chosen} count={count} onDone={onDone} />
    <ExportLink of={chosen} />
  </>
);

export function EpisodesRoute() {
  usePageTitle("Episodes");
  return <EpisodeLibrary bulkActions={actions} />;
}
