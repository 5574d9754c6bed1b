/** `/episodes`: the library. */

import { EpisodeLibrary } from "@/features/episodes/components/episode-library";
import { usePageTitle } from "@/hooks/use-page-title";

export function EpisodesRoute() {
  usePageTitle("Episodes");
  return <EpisodeLibrary />;
}
