/** What a version is to the fleet right now: current, on trial, pinned somewhere. */

import { CircleCheck, FlaskConical, Pin, Sparkles } from "lucide-react";

import { Chip } from "@/components/ui/chip";

const known = {
  current: { icon: CircleCheck, tone: "neutral", label: "Current" },
  canary: { icon: FlaskConical, tone: "assist", label: "Canary" },
  pinned: { icon: Pin, tone: "neutral", label: "Pinned" },
  newest: { icon: Sparkles, tone: "neutral", label: "Newest" },
} as const;

export function StageChips({ stages }: { readonly stages: readonly string[] }) {
  return (
    <span className="inline-flex flex-wrap gap-1">
      {(Object.keys(known) as (keyof typeof known)[])
        .filter((stage) => stages.includes(stage))
        .map((stage) => (
          <Chip key={stage} icon={known[stage].icon} tone={known[stage].tone}>
            {known[stage].label}
          </Chip>
        ))}
    </span>
  );
}
