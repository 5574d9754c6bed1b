/** Let a robot that somebody took back by hand follow the server again: DELETE /api/v1/robots/:id/hold. */

import { useMutation } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { nothing } from "@/lib/api/decode";

export const useLiftHold = () =>
  useMutation({
    mutationFn: (robotId: string) => request(`/api/v1/robots/${encodeURIComponent(robotId)}/hold`, nothing, { method: "DELETE" }),
  });
