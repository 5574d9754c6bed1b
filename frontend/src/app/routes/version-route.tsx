/** `/versions/:id`: one policy version. */

import { useParams } from "react-router";

import { VersionPage } from "@/features/versions/components/version-page";

export function VersionRoute() {
  const { id = "" } = useParams();
  return <VersionPage key={id} id={id} />;
}
