/** The splits of a version: a preset, or names and shares of one's own. */

import { Plus, X } from "lucide-react";

import { Button } from "@/components/ui/button";
import { SelectField, TextField } from "@/components/ui/field";
import { SPLIT_PRESETS, type SplitDraft, splitsOf, splitsText } from "@/features/datasets/dataset-words";

const OTHER = "other";

interface SplitFieldsProps {
  /** As the URL carries it. */
  readonly text: string;
  readonly onText: (text: string) => void;
}

export function SplitFields({ text, onText }: SplitFieldsProps) {
  const splits = splitsOf(text);
  const isKnown = SPLIT_PRESETS.some(({ value }) => value === text);
  const change = (at: number, change: Partial<SplitDraft>) =>
    onText(splitsText(splits.map((split, place) => (place === at ? { ...split, ...change } : split))));
  return (
    <div className="grid gap-3">
      <SelectField
        label="Preset"
        className="max-w-72"
        options={[...SPLIT_PRESETS, ...(isKnown ? [] : [{ value: OTHER, label: "Other" }])]}
        value={isKnown ? text : OTHER}
        onValue={(value) => onText(value === OTHER ? text : value)}
      />
      <ul className="grid gap-2" aria-label="Splits">
        {splits.map(({ name, percent }, at) => (
          <li key={at} className="flex items-end gap-2">
            <TextField
              label={`Name of split ${at + 1}`}
              isLabelHidden
              className="w-40"
              maxLength={32}
              value={name}
              onChange={(event) => change(at, { name: event.target.value.replaceAll(/[,:]/g, "") })}
            />
            <TextField
              label={`Share of split ${at + 1} in per cent`}
              isLabelHidden
              className="w-24"
              inputMode="decimal"
              value={percent}
              onChange={(event) => change(at, { percent: event.target.value.replaceAll(/[^0-9.]/g, "") })}
            />
            <span className="pb-1.5 text-sm text-ink-muted">%</span>
            {splits.length > 1 ? (
              <Button
                variant="icon"
                aria-label={`Remove split ${at + 1}`}
                onClick={() => onText(splitsText(splits.filter((_, place) => place !== at)))}
              >
                <X aria-hidden className="size-4" />
              </Button>
            ) : null}
          </li>
        ))}
      </ul>
      {splits.length < 10 ? (
        <Button className="justify-self-start" onClick={() => onText(splitsText([...splits, { name: `split${splits.length + 1}`, percent: "0" }]))}>
          <Plus aria-hidden className="size-4" />
          Add a split
        </Button>
      ) : null}
    </div>
  );
}
