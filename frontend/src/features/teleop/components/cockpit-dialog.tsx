/** A dialog of the cockpit: while it is open the operator's input is let go of, and nothing is taken. */

import { type ReactNode, useEffect } from "react";

import { Dialog } from "@/components/ui/dialog";
import type { OperatorInput } from "@/features/teleop/operator-input";

interface CockpitDialogProps {
  readonly title: string;
  readonly input: OperatorInput;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

export function CockpitDialog({ title, input, onClose, children }: CockpitDialogProps) {
  useEffect(() => input.hold(`the dialog "${title}" was open`), [input, title]);
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
    </Dialog>
  );
}
