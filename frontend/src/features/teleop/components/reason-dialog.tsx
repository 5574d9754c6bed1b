/** Asks for a reason and for a yes: outcome, restart, end, take. Enter confirms, Escape leaves all as it is. */

import { type ReactNode, type SubmitEvent, useId } from "react";

import { Button } from "@/components/ui/button";
import { TextField } from "@/components/ui/field";
import { CockpitDialog } from "@/features/teleop/components/cockpit-dialog";
import type { OperatorInput } from "@/features/teleop/operator-input";

interface ReasonDialogProps {
  readonly title: string;
  readonly confirm: string;
  readonly label?: string;
  /** Offered below the field, to be picked instead of typed. */
  readonly suggestions?: readonly string[];
  readonly isRequired?: boolean;
  readonly value?: string;
  readonly input: OperatorInput;
  readonly onConfirm: (reason: string) => void;
  readonly onClose: () => void;
  readonly children?: ReactNode;
}

export function ReasonDialog(props: ReasonDialogProps) {
  const { title, confirm, label = "Reason (optional)", suggestions = [], isRequired = false, value, input, onConfirm, onClose, children } = props;
  const listId = useId();
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const reason = new FormData(event.currentTarget).get("reason");
    onConfirm(typeof reason === "string" ? reason.trim() : "");
  };
  return (
    <CockpitDialog title={title} input={input} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        {children ? <div className="text-sm">{children}</div> : null}
        <TextField
          label={label}
          name="reason"
          list={listId}
          maxLength={200}
          autoComplete="off"
          data-autofocus
          required={isRequired}
          defaultValue={value}
        />
        <datalist id={listId}>
          {suggestions.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
        <div className="flex justify-end gap-2">
          <Button className="h-9" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" variant="primary">
            {confirm}
          </Button>
        </div>
      </form>
    </CockpitDialog>
  );
}
