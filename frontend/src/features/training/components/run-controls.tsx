/** How the charts of a run are looked at: how far back, over time or steps, as tables, held still. In the URL. */

import { Pause, Play } from "lucide-react";

import { Button } from "@/components/ui/button";
import { SelectField } from "@/components/ui/field";
import { Tabs } from "@/components/ui/tabs";
import type { Axis } from "@/features/training/components/metric-plot";
import type { RunView } from "@/features/training/hooks/use-run-view";
import { useUrlChoice } from "@/hooks/use-url-choice";
import { formatDuration } from "@/lib/units/format";
import { type Seconds, seconds } from "@/lib/units/quantity";

const RANGES = ["all", "900", "3600", "21600", "86400"] as const;
const ranges = RANGES.map((value) => ({
  value,
  label: value === "all" ? "Whole run" : `Last ${formatDuration(seconds(Number(value)))}`,
}));
const axes = [
  { value: "time", label: "Time" },
  { value: "step", label: "Steps" },
] as const;
const forms = [
  { value: "chart", label: "Charts" },
  { value: "table", label: "Tables" },
] as const;

export interface Look {
  readonly last: Seconds | null;
  readonly axis: Axis;
  readonly form: "chart" | "table";
}

export function useLook() {
  const [range, setRange] = useUrlChoice("range", RANGES, "all");
  const [axis, setAxis] = useUrlChoice("axis", ["time", "step"], "time");
  const [form, setForm] = useUrlChoice("charts", ["chart", "table"], "chart");
  const look: Look = { last: range === "all" ? null : seconds(Number(range)), axis, form };
  return { look, range, setRange, setAxis, setForm };
}

interface RunControlsProps {
  readonly view: Pick<RunView, "isPaused" | "waiting" | "togglePause" | "frames">;
  readonly choice: ReturnType<typeof useLook>;
  /** Id of what the tabs fill. */
  readonly controls: string;
}

export function RunControls({ view, choice, controls }: RunControlsProps) {
  const { look, range, setRange, setAxis, setForm } = choice;
  return (
    <div className="flex flex-wrap items-center gap-2">
      <SelectField
        label="How far back"
        isLabelHidden
        className="w-32"
        options={ranges}
        value={range}
        onValue={(value) => setRange(value as (typeof RANGES)[number])}
      />
      <Tabs label="Charts over" value={look.axis} options={axes} onValue={setAxis} controls={controls} />
      <Tabs label="Form" value={look.form} options={forms} onValue={setForm} controls={controls} />
      <Button onClick={view.togglePause} aria-pressed={view.isPaused} disabled={view.frames === null} className="numeric w-36">
        {view.isPaused ? <Play aria-hidden className="size-4" /> : <Pause aria-hidden className="size-4" />}
        {view.isPaused ? `Go on (${view.waiting} new)` : "Hold still"}
      </Button>
    </div>
  );
}
