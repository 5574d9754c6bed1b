/** `/episodes/:id/compare/:other?`: two episodes side by side. */

import { useParams } from "react-router";

import { ComparePage } from "@/features/episodes/components/compare-page";

export function CompareRoute() {
  const { id = "", other = "" } = useParams();
  return <ComparePage key={`${id} ${other}`} id={id} other={other} />;
}
