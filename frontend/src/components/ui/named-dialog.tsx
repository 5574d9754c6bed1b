/** A dialog with the form of something that has a name, new or there: name and fields, why nothing was saved, the button. */

import type { ReactNode, SubmitEvent } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { TextField } from "@/components/ui/field";

interface NamedDialogProps {
  readonly title: string;
  readonly name: string;
  readonly onName: (name: string) => void;
  /** Of the button that saves. */
  readonly label: string;
  readonly isPending: boolean;
  readonly problem: string | undefined;
  readonly onSave: () => void;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

export function NamedDialog({ title, name, onName, label, isPending, problem, onSave, onClose, children }: NamedDialogProps) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onSave();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <TextField
          label="Name"
          data-autofocus
          required
          maxLength={100}
          value={name}
          onChange={(event) => onName(event.target.value)}
        />
        {children}
        <div className="flex items-center justify-end gap-3">
          <p role="alert" className="min-w-0 grow text-sm text-fault">
            {problem === undefined ? "" : `Nothing was saved. ${problem}`}
          </p>
          <Button type="submit" variant="primary" disabled={name.trim() === "" || isPending}>
            {label}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
