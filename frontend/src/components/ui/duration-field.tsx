/** A duration to choose: a number and its unit, from and into whole seconds. */

import { useId, useState } from "react";

import { SelectField, TextField } from "@/components/ui/field";
import { type DurationUnit, durationUnits, unitSize, wholeUnit } from "@/lib/units/duration";

interface DurationFieldProps {
  readonly label: string;
  /** In seconds, as are the bounds; NaN while nothing is typed. */
  readonly value: number;
  readonly min: number;
  readonly max?: number | undefined;
  readonly onValue: (value: number) => void;
}

export function DurationField({ label, value, min, max = Infinity, onValue }: DurationFieldProps) {
  const id = useId();
  const [unit, setUnit] = useState<DurationUnit>(() => wholeUnit(value));
  const size = unitSize(unit);
  const units = durationUnits.filter((each) => each.size <= max);
  // The number stays as it was typed: who first types 5 and then chooses hours means 5 hours.
  const choose = (chosen: DurationUnit) => {
    setUnit(chosen);
    onValue(Math.round((value / size) * unitSize(chosen)));
  };
  return (
    <div role="group" aria-labelledby={id} className="flex flex-col">
      <p id={id} className="mb-1 text-sm font-medium">
        {label}
      </p>
      <div className="flex gap-1.5">
        <TextField
          label={label}
          isLabelHidden
          className="min-w-0 grow"
          type="number"
          step="any"
          required
          min={min / size}
          max={max / size}
          value={Number.isNaN(value) ? "" : Number((value / size).toPrecision(6))}
          onChange={(event) => onValue(Math.round(event.target.valueAsNumber * size))}
        />
        <SelectField
          label={`Unit of: ${label}`}
          isLabelHidden
          className="w-28 shrink-0"
          value={unit}
          options={units.map((each) => ({ value: each.unit, label: each.word }))}
          onValue={(chosen) => choose(chosen as DurationUnit)}
        />
      </div>
    </div>
  );
}
