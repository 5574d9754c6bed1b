/** `/versions`: which policy versions there are, and which robots drive with which. */

import { useMay } from "@/hooks/use-session";
import { VersionsPage } from "@/features/versions/components/versions-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function VersionsRoute() {
  usePageTitle("Versions");
  const mayRelease = useMay("release_versions");
  return <VersionsPage mayRelease={mayRelease} />;
}
