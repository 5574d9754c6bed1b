/** Name, description and licence: of a new dataset, or of one that is there. */

import { type SubmitEvent, useState } from "react";
import { useNavigate } from "react-router";

import { Dialog } from "@/components/ui/dialog";
import { TextAreaField, TextField } from "@/components/ui/field";
import { SaveRow } from "@/components/ui/save-row";
import { notify } from "@/components/ui/toast";
import { type Dataset, type DatasetWish, useChangeDataset, useCreateDataset } from "@/features/datasets/api/datasets";

export function DatasetDialog({ onClose }: { readonly onClose: () => void }) {
  const create = useCreateDataset();
  const navigate = useNavigate();
  const save = (wish: DatasetWish) => create.mutate(wish, { onSuccess: ({ id }) => void navigate(`/datasets/${id}`) });
  return (
    <Dialog title="New dataset" onClose={onClose}>
      <DatasetForm action="Make the dataset" isPending={create.isPending} problem={create.error?.message} onSave={save} />
    </Dialog>
  );
}

export function EditDialog({ dataset, onClose }: { readonly dataset: Dataset; readonly onClose: () => void }) {
  const change = useChangeDataset(dataset);
  const save = (wish: DatasetWish) =>
    change.mutate(wish, {
      onSuccess: () => {
        notify("done", "The dataset is changed.");
        onClose();
      },
    });
  return (
    <Dialog title="Change the dataset" onClose={onClose}>
      <DatasetForm start={dataset} action="Save" isPending={change.isPending} problem={change.error?.message} onSave={save} />
    </Dialog>
  );
}

interface DatasetFormProps {
  readonly start?: Dataset;
  readonly action: string;
  readonly isPending: boolean;
  readonly problem: string | undefined;
  readonly onSave: (wish: DatasetWish) => void;
}

function DatasetForm({ start, action, isPending, problem, onSave }: DatasetFormProps) {
  const [name, setName] = useState(start?.name ?? "");
  const [description, setDescription] = useState(start?.description ?? "");
  const [licence, setLicence] = useState(start?.licence ?? "");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onSave({ name: name.trim(), description, licence });
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <TextField
        label="Name"
        data-autofocus
        required
        maxLength={100}
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <TextAreaField
        label="Description"
        rows={5}
        maxLength={4000}
        value={description}
        onChange={(event) => setDescription(event.target.value)}
      />
      <TextField
        label="Licence"
        placeholder="for example cc-by-4.0"
        maxLength={100}
        value={licence}
        onChange={(event) => setLicence(event.target.value)}
      />
      <SaveRow problem={problem} label={action} isDisabled={name.trim() === "" || isPending} />
    </form>
  );
}
