/** A status: an icon and a word, coloured only when it is out of the ordinary. Never colour alone. */

import type { LucideIcon } from "lucide-react";

import { cn } from "@/lib/class-names";

/** `neutral` ordinary, `assist` somebody helps, `caution` needs a look, `fault` is broken or stopped. */
export type Tone = "neutral" | "assist" | "caution" | "fault";

const tones: Readonly<Record<Tone, string>> = {
  neutral: "border-line text-ink-muted",
  assist: "border-transparent bg-assist-tint text-assist",
  caution: "border-transparent bg-caution-tint text-caution",
  fault: "border-transparent bg-fault-tint text-fault",
};

interface ChipProps {
  readonly icon: LucideIcon;
  readonly tone: Tone;
  readonly children: string;
  /** Shown on hover, where there is more to say than the word. */
  readonly title?: string | undefined;
  readonly className?: string | undefined;
}

export function Chip({ icon: Icon, tone, children, title = children, className }: ChipProps) {
  return (
    <span
      title={title}
      className={cn(
        "inline-flex min-w-0 h-6 max-w-full items-center gap-1.5 rounded-md border px-1.5 text-xs font-medium",
        tones[tone],
        className,
      )}
    >
      <Icon aria-hidden className="size-3.5 shrink-0" />
      <span className="truncate">{children}</span>
    </span>
  );
}
