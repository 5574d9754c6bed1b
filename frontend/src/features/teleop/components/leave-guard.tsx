/** Asks before an operator leaves the page while a robot is theirs: leaving is neither a hand back nor a stop. */

import { useEffect } from "react";
import { useBlocker } from "react-router";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { notify } from "@/components/ui/toast";
import { useHeldRobots } from "@/features/teleop/hooks/use-held-robots";

export function LeaveGuard() {
  const held = useHeldRobots();
  const isHeld = held.size > 0;
  const names = [...held.keys()].join(" and ");
  const blocker = useBlocker(isHeld);
  useEffect(() => {
    if (!isHeld) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [isHeld]);
  if (blocker.state !== "blocked") return null;
  const handBack = () => {
    Promise.all([...held.values()].map((lease) => lease.release("left the cockpit"))).then(
      () => blocker.proceed(),
      (error: unknown) => notify("failed", `${names} was not handed back. ${error instanceof Error ? error.message : ""}`),
    );
  };
  return (
    <Dialog title={`You still drive ${names}`} onClose={() => blocker.reset()}>
      <p className="text-sm">
        If you leave, {names} stands still: within seconds your control ends, and it waits for a person. Handing back lets the policy go on.
      </p>
      <div className="mt-4 flex flex-wrap justify-end gap-2">
        <Button onClick={() => blocker.reset()}>Stay</Button>
        <Button onClick={() => blocker.proceed()}>Leave it standing</Button>
        <Button variant="primary" className="h-8" onClick={handBack}>
          Hand back and leave
        </Button>
      </div>
    </Dialog>
  );
}
