/** The library's "Add to dataset": ticked episodes, or all that a filter finds, are collected for a dataset. */

import { Database } from "lucide-react";
import { type SubmitEvent, useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import { notify } from "@/components/ui/toast";
import { type Chosen, type Dataset, useCollect, useCreateDataset, useDatasets } from "@/features/datasets/api/datasets";
import { formatNoun } from "@/lib/units/format";

interface AddToDatasetProps {
  readonly chosen: Chosen;
  readonly count: number;
  readonly onDone: () => void;
}

export function AddToDataset(props: AddToDatasetProps) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button needs="curate" onClick={() => setOpen(true)}>
        <Database aria-hidden className="size-4" />
        Add to dataset
      </Button>
      {isOpen ? (
        <Dialog title={`Add ${formatNoun(props.count, "episode")} to a dataset`} onClose={() => setOpen(false)}>
          <AddForm {...props} />
        </Dialog>
      ) : null}
    </>
  );
}

const NEW = "";

function AddForm({ chosen, onDone }: AddToDatasetProps) {
  const { data: datasets, error } = useDatasets("no");
  const create = useCreateDataset();
  const collect = useCollect();
  const [picked, setPicked] = useState<string | null>(null);
  const [name, setName] = useState("");
  const target = picked ?? datasets?.[0]?.id ?? NEW;
  const problem = error ?? create.error ?? collect.error;
  const add = (dataset: Pick<Dataset, "id" | "name">) =>
    collect.mutate(
      { id: dataset.id, chosen },
      {
        onSuccess: ({ changed, collected }) => {
          notify("done", `Added ${formatNoun(changed, "episode")} to ${dataset.name}; ${formatNoun(collected, "episode")} collected.`);
          onDone();
        },
        // A dataset that was just made stays, and is chosen for the next try.
        onError: () => setPicked(dataset.id),
      },
    );
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const known = datasets?.find(({ id }) => id === target);
    if (known !== undefined) add(known);
    else create.mutate({ name: name.trim() }, { onSuccess: add });
  };
  const isPending = create.isPending || collect.isPending;
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <SelectField
        label="Dataset"
        data-autofocus
        options={[...(datasets ?? []).map((each) => ({ value: each.id, label: each.name })), { value: NEW, label: "A new dataset" }]}
        value={target}
        onValue={setPicked}
      />
      {target === NEW ? (
        <TextField label="Name" required maxLength={100} value={name} onChange={(event) => setName(event.target.value)} />
      ) : null}
      <p className="text-sm text-ink-muted">
        They are collected for the next version. Nothing is frozen yet: that is done{" "}
        <Link to={target === NEW ? "/datasets" : `/datasets/${target}`} className="text-link underline underline-offset-2">
          on the dataset&apos;s page
        </Link>
        .
      </p>
      <div className="flex items-center justify-end gap-3">
        <p role="alert" className="min-w-0 grow text-sm text-fault">
          {problem === null ? null : `Nothing was added. ${problem.message}`}
        </p>
        <Button type="submit" variant="primary" disabled={datasets === undefined || isPending || (target === NEW && name.trim() === "")}>
          Add
        </Button>
      </div>
    </form>
  );
}
