/** `/teleop/:robotId` and `/teleop/:robotId/:otherId`: the cockpit of one robot, or of two side by side. */

import { useParams } from "react-router";

import { useSession } from "@/hooks/use-session";
import { CockpitPage } from "@/features/teleop/components/cockpit-page";

export function TeleopRoute() {
  const { robotId = "", otherId } = useParams();
  const user = useSession().data?.user;
  if (!user) return null;
  const ids = otherId === undefined || otherId === robotId ? [robotId] : [robotId, otherId];
  return <CockpitPage key={ids.join()} robotIds={ids} user={user} />;
}
