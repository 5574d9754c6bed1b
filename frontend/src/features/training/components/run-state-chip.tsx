/** The state of a training run in a word. */

import { CirclePause, CirclePlay, CircleStop, type LucideIcon, TriangleAlert } from "lucide-react";

import { Chip, type Tone } from "@/components/ui/chip";

const states: Readonly<Record<string, { text: string; icon: LucideIcon; tone: Tone }>> = {
  running: { text: "Training", icon: CirclePlay, tone: "neutral" },
  paused: { text: "Paused", icon: CirclePause, tone: "neutral" },
  stopped: { text: "Stopped", icon: CircleStop, tone: "neutral" },
  failed: { text: "Failed", icon: TriangleAlert, tone: "fault" },
};

export function RunStateChip({ state }: { readonly state: string }) {
  const { text, icon, tone } = states[state] ?? { text: state, icon: CirclePlay, tone: "neutral" };
  return (
    <Chip icon={icon} tone={tone}>
      {text}
    </Chip>
  );
}
