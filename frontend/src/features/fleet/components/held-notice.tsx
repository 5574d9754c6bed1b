/** A robot that somebody took back to a version at the robot: why, and letting it follow the server again. */

import { Pin } from "lucide-react";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { notify } from "@/components/ui/toast";
import { useLiftHold } from "@/features/fleet/api/hold";
import type { RobotCard } from "@/protocol/generated";

export function HeldNotice({ robot }: { readonly robot: RobotCard }) {
  const [isAsking, setAsking] = useState(false);
  const lift = useLiftHold();
  if (!robot.policy_hold) return null;
  const close = () => setAsking(false);
  const letGo = () =>
    lift.mutate(robot.robot_id, {
      onSuccess: () => notify("done", `${robot.name} follows the server again as soon as it hears of it.`),
      onError: (error) => notify("failed", `${robot.name} stays held. ${error.message}`),
      onSettled: close,
    });
  return (
    <section aria-label="Held at the robot" className="mt-4 flex flex-wrap items-center gap-3 rounded-lg border border-caution bg-caution-tint px-3 py-2 text-sm">
      <Pin aria-hidden className="size-4 shrink-0 text-caution" />
      <p className="min-w-0 grow break-words">{robot.policy_hold}</p>
      <Button needs="release_versions" onClick={() => setAsking(true)}>
        Lift the hold
      </Button>
      {isAsking ? (
        <Dialog title={`Lift the hold of ${robot.name}?`} onClose={close}>
          <p className="text-sm">
            {robot.policy_hold}. Whoever did it had a reason: ask them first. The robot then drives with the version that the server wants, from
            its next episode on.
          </p>
          <div className="mt-5 flex justify-end gap-2">
            <Button data-autofocus onClick={close}>
              Keep it held
            </Button>
            <Button variant="primary" disabled={lift.isPending} onClick={letGo}>
              Lift the hold
            </Button>
          </div>
        </Dialog>
      ) : null}
    </section>
  );
}
