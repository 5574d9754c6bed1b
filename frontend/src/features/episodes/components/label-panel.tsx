/** What people say about the episode: outcome, tags, comment. Saved over the revision that was read. */

import { X } from "lucide-react";
import { type SubmitEvent, useId, useState } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { TextAreaField, TextField } from "@/components/ui/field";
import { Permitted } from "@/components/ui/permitted";
import { notify } from "@/components/ui/toast";
import type { EpisodeDetail } from "@/features/episodes/api/episodes";
import { useLabel, useUndoLabel } from "@/features/episodes/api/labels";
import { LabelHistory } from "@/features/episodes/components/label-history";
import { changeOf, formOf, type LabelDraft, RECORDED } from "@/features/episodes/label-draft";
import { OUTCOME_NAMES, outcomeWord } from "@/features/episodes/words";
import { ProblemError } from "@/lib/api/errors";

const CHANGED = "precondition_failed";

export function LabelPanel({ episode }: { readonly episode: EpisodeDetail }) {
  const [draft, setDraft] = useState<LabelDraft>({});
  const label = useLabel(episode.id);
  const undo = useUndoLabel(episode.id);
  const form = formOf(episode, draft);
  const change = changeOf(draft, form);
  const isChanged = label.error instanceof ProblemError && label.error.problem.code === CHANGED;
  const put = (next: LabelDraft) => setDraft((previous) => ({ ...previous, ...next }));
  const takeBack = (revision: number) =>
    undo.mutate(revision, {
      onSuccess: () => notify("done", "The label was taken back."),
      onError: (error) => notify("failed", `The label was not taken back. ${error.message}`),
    });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (change === null) return;
    label.mutate(
      { change, revision: episode.label_revision },
      {
        onSuccess: ({ revision }) => {
          setDraft({});
          notify("done", "The label is saved.", { label: "Undo", run: () => takeBack(revision) });
        },
      },
    );
  };
  return (
    <Panel title="Label">
      <Permitted needs="label">
        <form onSubmit={submit} className="grid gap-3">
          <Outcomes value={form.outcome} recorded={episode.recording?.outcome} onValue={(outcome) => put({ outcome })} />
          {form.outcome === RECORDED ? null : (
            <TextField label="Reason" maxLength={2000} value={form.reason} onChange={(event) => put({ reason: event.target.value })} />
          )}
          <Tags tags={form.tags} onTags={(tags) => put({ tags })} />
          <Comment value={form.comment} onValue={(comment) => put({ comment })} />
          {label.error === null ? null : (
            <p role="alert" className="text-sm text-fault">
              {isChanged
                ? "Somebody labelled this episode meanwhile. What they said is shown now wherever you changed nothing: look, then save again."
                : `Not saved. ${label.error.message}`}
            </p>
          )}
          <div className="flex gap-2">
            <Button type="submit" variant="primary" disabled={change === null || label.isPending}>
              Save label
            </Button>
            <Button disabled={episode.label_revision === 0 || undo.isPending} onClick={() => takeBack(episode.label_revision)}>
              Take back the last change
            </Button>
          </div>
        </form>
      </Permitted>
      <LabelHistory episodeId={episode.id} />
    </Panel>
  );
}

interface OutcomesProps {
  readonly value: string;
  readonly recorded: string | undefined;
  readonly onValue: (outcome: string) => void;
}

function Outcomes({ value, recorded, onValue }: OutcomesProps) {
  const name = useId();
  const asRecorded = recorded === undefined ? "As recorded" : `As recorded: ${outcomeWord(recorded).text.toLowerCase()}`;
  const options = [[RECORDED, asRecorded], ...OUTCOME_NAMES.map((outcome) => [outcome, outcomeWord(outcome).text])] as const;
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium">Outcome</legend>
      <div className="flex flex-wrap gap-x-4">
        {options.map(([option = "", text]) => (
          <label key={option} className="flex min-h-7 items-center gap-2 text-sm">
            <input
              type="radio"
              className="size-4 accent-action"
              name={name}
              checked={value === option}
              onChange={() => onValue(option)}
            />
            {text}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function Tags({ tags, onTags }: { readonly tags: readonly string[]; readonly onTags: (tags: readonly string[]) => void }) {
  const [text, setText] = useState("");
  const add = () => {
    const tag = text.trim();
    if (tag !== "" && !tags.includes(tag)) onTags([...tags, tag]);
    setText("");
  };
  return (
    <div>
      <div className="flex items-end gap-2">
        <TextField
          label="Tags"
          className="grow"
          maxLength={64}
          placeholder="Enter adds it"
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            add();
          }}
        />
        <Button onClick={add}>Add tag</Button>
      </div>
      {tags.length === 0 ? null : (
        <ul className="mt-1.5 flex flex-wrap gap-1">
          {tags.map((tag) => (
            <li key={tag} className="flex max-w-full items-center rounded-md border border-line pl-1.5 text-xs">
              <span className="truncate">{tag}</span>
              <Button
                variant="icon"
                className="size-6!"
                aria-label={`Remove ${tag}`}
                onClick={() => onTags(tags.filter((each) => each !== tag))}
              >
                <X aria-hidden className="size-3" />
              </Button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Comment({ value, onValue }: { readonly value: string; readonly onValue: (text: string) => void }) {
  return <TextAreaField label="Comment" rows={3} maxLength={4000} value={value} onChange={(event) => onValue(event.target.value)} />;
}
