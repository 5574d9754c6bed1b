/** `/versions`: which policy versions there are, and which robots drive with which. */

import { VersionsPage } from "@/features/versions/components/versions-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function VersionsRoute() {
  usePageTitle("Versions");
  return <VersionsPage />;
}
