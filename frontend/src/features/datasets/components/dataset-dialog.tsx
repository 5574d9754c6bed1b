/** Name, description and licence: of a new dataset, or of one that is there. */

import { useState } from "react";
import { useNavigate } from "react-router";

import { TextAreaField, TextField } from "@/components/ui/field";
import { NamedDialog } from "@/components/ui/named-dialog";
import { notify } from "@/components/ui/toast";
import { type Dataset, type DatasetWish, useChangeDataset, useCreateDataset } from "@/features/datasets/api/datasets";

export function DatasetDialog({ onClose }: { readonly onClose: () => void }) {
  const create = useCreateDataset();
  const navigate = useNavigate();
  const save = (wish: DatasetWish) => create.mutate(wish, { onSuccess: ({ id }) => void navigate(`/datasets/${id}`) });
  return (
    <FieldsDialog
      title="New dataset"
      label="Make the dataset"
      isPending={create.isPending}
      problem={create.error?.message}
      onSave={save}
      onClose={onClose}
    />
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
    <FieldsDialog
      start={dataset}
      title="Change the dataset"
      label="Save"
      isPending={change.isPending}
      problem={change.error?.message}
      onSave={save}
      onClose={onClose}
    />
  );
}

interface FieldsDialogProps {
  readonly start?: Dataset;
  readonly title: string;
  readonly label: string;
  readonly isPending: boolean;
  readonly problem: string | undefined;
  readonly onSave: (wish: DatasetWish) => void;
  readonly onClose: () => void;
}

function FieldsDialog({ start, onSave, ...frame }: FieldsDialogProps) {
  const [name, setName] = useState(start?.name ?? "");
  const [description, setDescription] = useState(start?.description ?? "");
  const [licence, setLicence] = useState(start?.licence ?? "");
  return (
    <NamedDialog {...frame} name={name} onName={setName} onSave={() => onSave({ name: name.trim(), description, licence })}>
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
    </NamedDialog>
  );
}
