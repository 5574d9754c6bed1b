/** `/settings/robots/<id>/log`: what a robot's daemon says. */

import { useParams } from "react-router";

import { useMay } from "@/hooks/use-session";
import { RobotLogPage } from "@/features/robots/components/robot-log-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function RobotLogRoute() {
  usePageTitle("Robot's log");
  const { id = "" } = useParams();
  return <RobotLogPage id={id} mayRead={useMay("edit_robots")} />;
}
