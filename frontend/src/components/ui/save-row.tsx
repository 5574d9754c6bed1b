/** The end of a form in a dialog: why nothing was saved, and the button that saves. */

import { Button } from "@/components/ui/button";

interface SaveRowProps {
  readonly problem: string | undefined;
  readonly label: string;
  readonly isDisabled: boolean;
}

export function SaveRow({ problem, label, isDisabled }: SaveRowProps) {
  return (
    <div className="flex items-center justify-end gap-3">
      <p role="alert" className="min-w-0 grow text-sm text-fault">
        {problem === undefined ? "" : `Nothing was saved. ${problem}`}
      </p>
      <Button type="submit" variant="primary" disabled={isDisabled}>
        {label}
      </Button>
    </div>
  );
}
