/** Asks on which robots a version is shadowed, for how long, and for how many of their episodes. */

import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import { MultiSelect } from "@/components/ui/multi-select";
import { notify } from "@/components/ui/toast";
import { useBeginShadow, useRobotNames, type Wish } from "@/features/versions/api/shadows";

const HOUR_S = 3600;
const WAYS = [
  { value: "share", label: "A share of the robots, by lot" },
  { value: "tag", label: "The robots with a tag" },
  { value: "robots", label: "Robots by name" },
] as const;
type Way = (typeof WAYS)[number]["value"];

interface ShadowDialogProps {
  readonly version: { readonly id: string; readonly number: number };
  readonly onClose: () => void;
}

export function ShadowDialog({ version, onClose }: ShadowDialogProps) {
  const begin = useBeginShadow(version.id);
  const names = useRobotNames();
  const [way, setWay] = useState<Way>("share");
  const [robots, setRobots] = useState<readonly string[]>([]);
  const [values, setValues] = useState({ tag: "", robotShare: "25", share: "100", hours: "24", episodes: "200" });
  const field = (name: keyof typeof values) => ({
    value: values[name],
    onChange: (event: { target: { value: string } }) => setValues({ ...values, [name]: event.target.value }),
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const chosen: Pick<Wish, "robots" | "tag" | "robot_share"> =
      way === "robots" ? { robots } : way === "tag" ? { tag: values.tag.trim() } : { robot_share: Number(values.robotShare) / 100 };
    const bounds = { share: Number(values.share) / 100, duration_s: Number(values.hours) * HOUR_S, max_episodes: Number(values.episodes) };
    begin.mutate(
      { ...chosen, ...bounds },
      {
        onSuccess: () => {
          notify("done", `v${version.number} is shadowed.`);
          onClose();
        },
      },
    );
  };
  const isChosen = way === "share" || (way === "tag" ? values.tag.trim() !== "" : robots.length > 0);
  return (
    <Dialog title={`Shadow v${version.number}`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-3">
        <p className="text-sm">
          It proposes actions beside the version that drives, from the same pictures. None of them is executed; their distance to
          what was executed is charted.
        </p>
        <SelectField
          label="Where"
          value={way}
          options={WAYS}
          onValue={(value) => setWay(WAYS.find((each) => each.value === value)?.value ?? "share")}
        />
        {way === "share" ? <TextField label="Share of the robots (%)" inputMode="decimal" {...field("robotShare")} /> : null}
        {way === "tag" ? <TextField label="Tag" maxLength={64} {...field("tag")} /> : null}
        {way === "robots" ? (
          <MultiSelect
            label="Robots"
            all="Choose robots"
            values={robots}
            options={(names.data ?? []).map(({ id, name }) => ({ value: id, label: name }))}
            onValues={setRobots}
          />
        ) : null}
        <TextField label="Share of the plans it is asked about (%)" inputMode="decimal" {...field("share")} />
        <TextField label="Ends after, hours" inputMode="decimal" {...field("hours")} />
        <TextField label="Episodes of each robot, at most" inputMode="numeric" {...field("episodes")} />
        {begin.error === null && names.error === null ? null : (
          <p role="alert" className="text-sm text-fault">
            {(begin.error ?? names.error)?.message}
          </p>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" variant="primary" disabled={begin.isPending || !isChosen}>
            Shadow
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
