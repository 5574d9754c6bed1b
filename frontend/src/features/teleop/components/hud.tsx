/** Numbers of the connection in one strip: latency by stage, age of commands, frames, losses. */

import { Figure } from "@/components/ui/figure";
import type { CockpitView } from "@/features/teleop/cockpit-session";
import type { Latency, Stages } from "@/features/teleop/latency";
import { refusalWord } from "@/features/teleop/words";
import { cn } from "@/lib/class-names";
import { formatCount, formatPercent, formatRate, withUnit } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

const ms = (value: number | null | undefined): string => (value === null || value === undefined || !Number.isFinite(value) ? "–" : withUnit(`${Math.round(value)}`, "ms"));

interface HudProps {
  readonly view: CockpitView;
  readonly isCompact: boolean;
  readonly robot: string;
}

export function Hud({ view, isCompact, robot }: HudProps) {
  const { feedback, figures, latency, video, peer } = view;
  const word = peer.phase === "connected" ? feedback : null;
  const refused = word === null ? 0 : Object.values(word.refused).reduce((sum, count) => sum + count, 0);
  return (
    <section aria-label={`Connection to ${robot}`} className="rounded-lg border border-line bg-surface px-3 py-1.5" data-testid="hud">
      {isCompact ? null : <StageBar latency={latency} />}
      <dl className={cn("grid gap-x-3", isCompact ? "grid-cols-4" : "mt-1 grid-cols-[1.5fr_0.9fr_0.8fr_0.7fr_0.6fr_0.5fr_1.7fr_1.4fr]")}>
        <Figure label="Latency" note={latency && !isCompact ? `p95 ${ms(latency.p95Ms)}` : undefined}>
          {ms(latency?.totalMs)}
        </Figure>
        <Figure label="Command age">{ms(word?.command_age_ms)}</Figure>
        <Figure label="Round trip">{ms(word?.rtt_ms ?? figures?.rttMs)}</Figure>
        <Figure label="Frames">{formatRate(video.fps, "fps")}</Figure>
        {isCompact ? null : (
          <>
            <Figure label="Freezes">{formatCount(video.freezes)}</Figure>
            <Figure label="Loss">{figures?.loss == null ? "–" : formatPercent(fraction(figures.loss))}</Figure>
            <Figure label="Refused" note={word?.last_refusal ? refusalWord(word.last_refusal) : undefined}>
              {formatCount(refused)}
            </Figure>
            <Figure label="Video" note={figures ? withUnit(formatCount(figures.kbitPerS), "kbit/s") : undefined}>
              {figures ? [figures.codec, figures.way === "relay" ? "relayed" : ""].filter(Boolean).join(", ") || "–" : "–"}
            </Figure>
          </>
        )}
      </dl>
    </section>
  );
}

const stages: readonly { readonly key: keyof Stages; readonly label: string; readonly shade: string }[] = [
  { key: "encode", label: "camera + encode", shade: "bg-(--series-1)" },
  { key: "network", label: "network", shade: "bg-(--series-2)" },
  { key: "jitterBuffer", label: "jitter buffer", shade: "bg-(--series-3)" },
  { key: "decode", label: "decode", shade: "bg-(--series-4)" },
];
/** The bar's full width, so that it does not change its scale all the time. */
const FULL_MS = 250;

function StageBar({ latency }: { readonly latency: Latency | null }) {
  const text = (key: keyof Stages) => ms(latency?.stages[key]);
  return (
    <div>
      <div aria-hidden className="flex h-1.5 overflow-hidden rounded-full bg-inset">
        {latency === null
          ? null
          : stages.map(({ key, shade }) => <div key={key} className={shade} style={{ width: `${Math.min(100, (latency.stages[key] / FULL_MS) * 100)}%` }} />)}
      </div>
      <ul className="numeric mt-1 flex h-4 gap-x-4 overflow-hidden text-xs text-ink-muted" aria-label="Latency by stage, median" data-testid="stages">
        {stages.map(({ key, label, shade }) => (
          <li key={key} className="flex items-center gap-1.5 whitespace-nowrap">
            <span aria-hidden className={cn("size-2 rounded-sm", shade)} />
            {label} <span className="text-ink">{text(key)}</span>
          </li>
        ))}
        {latency === null ? null : <li className="whitespace-nowrap">n = {formatCount(latency.n)}</li>}
      </ul>
    </div>
  );
}
