/** `/datasets/:id/freeze`: the library's filter beside what it would freeze. */

import { useParams } from "react-router";

import { FreezePage } from "@/features/datasets/components/freeze-page";
import { useEpisodeCounts } from "@/features/episodes/api/episodes";
import { FilterPanel } from "@/features/episodes/components/filter-panel";
import { toJson } from "@/features/episodes/episode-query";
import { useEpisodeQuery } from "@/features/episodes/hooks/use-episode-query";
import { usePageTitle } from "@/hooks/use-page-title";

export function FreezeRoute() {
  usePageTitle("Freeze a version");
  const { id = "" } = useParams();
  const query = useEpisodeQuery();
  const counts = useEpisodeCounts(query.filter.toString());
  return (
    <FreezePage key={id} id={id} filter={toJson(query.filter)} filterPanel={<FilterPanel query={query} counts={counts.data} />} />
  );
}
