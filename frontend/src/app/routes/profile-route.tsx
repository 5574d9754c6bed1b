/** `/settings/profile`: one's own account. */

import { ProfilePage } from "@/features/people/components/profile-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function ProfileRoute() {
  usePageTitle("Your account");
  return <ProfilePage />;
}
