/** What people wrote about a version. */

import { useId, useState } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Permitted } from "@/components/ui/permitted";
import { notify } from "@/components/ui/toast";
import { useAct, type Version } from "@/features/versions/api/versions";

export function NotesPanel({ version }: { readonly version: Version }) {
  const id = useId();
  const act = useAct();
  const [notes, setNotes] = useState(version.notes);
  const save = () =>
    act.mutate(
      { kind: "notes", version: version.id, over: version.notes_revision, notes },
      { onSuccess: () => notify("done", "The notes are kept."), onError: (error) => notify("failed", error.message) },
    );
  return (
    <Panel title="Notes">
      <Permitted needs="release_versions">
        <label htmlFor={id} className="sr-only">
          Notes
        </label>
        <textarea
          id={id}
          value={notes}
          maxLength={4000}
          rows={4}
          onChange={(event) => setNotes(event.target.value)}
          className="w-full rounded-md border border-line-strong bg-surface px-2.5 py-1.5 text-sm"
        />
        <Button className="mt-2" onClick={save} disabled={notes === version.notes || act.isPending}>
          Save
        </Button>
      </Permitted>
    </Panel>
  );
}
