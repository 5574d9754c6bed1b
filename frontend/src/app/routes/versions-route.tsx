/** `/versions`: which policy versions there are, and which robots drive with which. */

import { useSession } from "@/features/people/api/session";
import { VersionsPage } from "@/features/versions/components/versions-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function VersionsRoute() {
  usePageTitle("Versions");
  const { data } = useSession();
  return <VersionsPage mayRelease={data?.user?.is_staff === true} />;
}
