/** `/datasets/:id/versions/:number/episodes`: what a version holds. */

import { useParams } from "react-router";

import { NotFoundRoute } from "@/app/routes/not-found-route";
import { HeldEpisodesPage } from "@/features/datasets/components/held-episodes-page";

export function HeldEpisodesRoute() {
  const { id = "", number = "" } = useParams();
  return /^[1-9]\d{0,8}$/.test(number) ? <HeldEpisodesPage key={`${id} ${number}`} id={id} number={Number(number)} /> : <NotFoundRoute />;
}
