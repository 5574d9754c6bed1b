/** `/episodes/:id`: one episode. */

import { useParams } from "react-router";

import { EpisodePage } from "@/features/episodes/components/episode-page";

export function EpisodeRoute() {
  const { id = "" } = useParams();
  return <EpisodePage key={id} id={id} />;
}
