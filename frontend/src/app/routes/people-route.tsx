/** `/settings/people`: who may do what. */

import { PeoplePage } from "@/features/people/components/people-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function PeopleRoute() {
  usePageTitle("People");
  return <PeoplePage />;
}
