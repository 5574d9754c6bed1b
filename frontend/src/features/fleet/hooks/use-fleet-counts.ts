/** The fleet in counts, as the link brings it; null while nobody knows. */

import { useMemo } from "react";

import { countFleet, type FleetCounts } from "@/features/fleet/fleet-view";
import { useIsFleetKnown, useRobots } from "@/lib/socket/fleet-store";

export function useFleetCounts(): FleetCounts | null {
  const robots = useRobots();
  const isKnown = useIsFleetKnown();
  return useMemo(() => (isKnown ? countFleet(robots.values()) : null), [robots, isKnown]);
}
