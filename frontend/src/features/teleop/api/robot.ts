/** What a robot is, as it said when it connected: GET /api/v1/robots/<id>. */

import { useQuery } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { list, nullable, number, record, text } from "@/lib/api/decode";

export interface View {
  readonly name: string;
  readonly width: number;
  readonly height: number;
}

export interface RobotRecord {
  readonly id: string;
  readonly name: string;
  readonly actionNames: readonly string[];
  readonly keptAxes: readonly string[];
  readonly controlRateHz: number;
  /** Live video, the main one first. */
  readonly views: readonly View[];
}

const view = record<View>({ name: text, width: number, height: number });
const orEmpty = <T>(value: readonly T[] | null): readonly T[] => value ?? [];
const answer = record({
  id: text,
  name: text,
  // Empty until the robot connects for the first time.
  driver: record({
    action_names: nullable(list(text)),
    kept_axes: nullable(list(text)),
    control_rate_hz: nullable(number),
    views: nullable(list(view)),
  }),
});

export const useRobotRecord = (robotId: string) =>
  useQuery({
    queryKey: ["robot", robotId],
    queryFn: async ({ signal }): Promise<RobotRecord> => {
      const { id, name, driver } = await request(`/api/v1/robots/${encodeURIComponent(robotId)}`, answer, { signal });
      return {
        id,
        name,
        actionNames: orEmpty(driver.action_names),
        keptAxes: orEmpty(driver.kept_axes),
        controlRateHz: driver.control_rate_hz ?? 0,
        views: orEmpty(driver.views),
      };
    },
    staleTime: 60_000,
  });
