/** `/settings/groups`: who sees which robots. */

import { GroupsPage } from "@/features/people/components/groups-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function GroupsRoute() {
  usePageTitle("Groups");
  return <GroupsPage />;
}
