/** `/versions/:id`: one policy version. */

import { useParams } from "react-router";

import { useMay } from "@/hooks/use-session";
import { VersionPage } from "@/features/versions/components/version-page";

export function VersionRoute() {
  const { id = "" } = useParams();
  const mayRelease = useMay("release_versions");
  const mayTrain = useMay("run_training");
  return <VersionPage key={id} id={id} mayRelease={mayRelease} mayTrain={mayTrain} />;
}
