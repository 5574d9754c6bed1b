/** Start a training run whose offline source is a frozen version. */

import { type SubmitEvent, useState } from "react";
import { useNavigate } from "react-router";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import type { Dataset } from "@/features/datasets/api/datasets";
import { useBases, useTrain } from "@/features/datasets/api/train";
import type { Version } from "@/features/datasets/api/versions";
import { formatCount } from "@/lib/units/format";

const algorithms = [
  { value: "hg_dagger", label: "HG-DAgger" },
  { value: "recap", label: "RECAP" },
];
const sources = [
  { value: "alone", label: "The dataset alone" },
  { value: "online", label: "The dataset and new episodes of robots" },
];

interface TrainDialogProps {
  readonly dataset: Dataset;
  readonly version: Version;
  readonly onClose: () => void;
}

export function TrainDialog({ dataset, version, onClose }: TrainDialogProps) {
  return (
    <Dialog title={`Train from version ${version.number}`} onClose={onClose}>
      <TrainForm dataset={dataset} version={version} />
    </Dialog>
  );
}

function TrainForm({ dataset, version }: Omit<TrainDialogProps, "onClose">) {
  const bases = useBases();
  const train = useTrain(dataset.id, version.number);
  const navigate = useNavigate();
  const [name, setName] = useState(`${dataset.name.slice(0, 80)} v${version.number}`);
  const [chosen, setBase] = useState("");
  const [split, setSplit] = useState(version.splits[0]?.name ?? "");
  const [source, setSource] = useState("alone");
  const [algorithm, setAlgorithm] = useState("hg_dagger");
  const [steps, setSteps] = useState("5000");
  const options = (bases.data ?? []).map(({ id, label }) => ({ value: id, label }));
  const base = chosen === "" ? (options[0]?.value ?? "") : chosen;
  const isAlone = source === "alone";
  const target = Number(steps);
  const isReady = name.trim() !== "" && base !== "" && (!isAlone || (Number.isInteger(target) && target > 0));
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const wish = { name: name.trim(), base, split, takes_online: !isAlone, algorithm, target_steps: isAlone ? target : null };
    train.mutate(wish, { onSuccess: ({ id }) => void navigate(`/training/${id}`) });
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <TextField
        label="Name of the run"
        data-autofocus
        required
        maxLength={100}
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <div className="grid gap-3 sm:grid-cols-2">
        <SelectField
          label="Begin from the weights of"
          options={options.length > 0 ? options : [{ value: "", label: bases.isPending ? "Reading versions" : "No policy version yet" }]}
          value={base}
          onValue={setBase}
        />
        <SelectField
          label="Episodes"
          options={[
            ...version.splits.map((each) => ({ value: each.name, label: `${each.name}: ${formatCount(each.episodes)}` })),
            { value: "", label: `all: ${formatCount(version.episodes)}` },
          ]}
          value={split}
          onValue={setSplit}
        />
        <SelectField label="Algorithm" options={algorithms} value={algorithm} onValue={setAlgorithm} />
        <TextField
          label="Gradient steps"
          type="number"
          min={1}
          step={1}
          disabled={!isAlone}
          value={isAlone ? steps : ""}
          onChange={(event) => setSteps(event.target.value)}
        />
        <SelectField label="Learn from" className="sm:col-span-2" options={sources} value={source} onValue={setSource} />
      </div>
      <p className="text-sm text-ink-muted">
        {isAlone
          ? "The run ends after these steps, and robots keep their version: pin one to try it."
          : "Robots get the versions of this run while it is the newest that runs. It goes on until somebody stops it."}
      </p>
      <div className="flex items-center justify-end gap-3">
        <p role="alert" className="min-w-0 grow text-sm text-fault">
          {train.error === null ? null : `No run was started. ${train.error.message}`}
        </p>
        <Button type="submit" variant="primary" disabled={!isReady || train.isPending}>
          Start training
        </Button>
      </div>
    </form>
  );
}
