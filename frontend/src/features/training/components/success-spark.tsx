/** How a run's success went, as a small line beside its latest figure with interval and n. */

import type { Rate } from "@/features/training/api/runs";
import { formatPercent } from "@/lib/units/format";
import { formatInterval } from "@/lib/units/interval";
import { fraction } from "@/lib/units/quantity";

const WIDTH = 120;
const HEIGHT = 28;

export function SuccessSpark({ parts }: { readonly parts: readonly Rate[] }) {
  const last = parts.at(-1);
  if (last === undefined) return <span className="text-ink-muted">no episodes yet</span>;
  const x = (index: number) => (parts.length === 1 ? WIDTH / 2 : 3 + (index / (parts.length - 1)) * (WIDTH - 6));
  const y = (rate: number) => HEIGHT - 3 - rate * (HEIGHT - 6);
  const line = parts.map(({ rate }, index) => `${x(index)},${y(rate)}`).join(" ");
  const band = [
    ...parts.map(({ high }, index) => `${x(index)},${y(high)}`),
    ...parts.map(({ low }, index) => `${x(index)},${y(low)}`).reverse(),
  ].join(" ");
  return (
    <div className="flex items-center gap-3">
      <svg aria-hidden viewBox={`0 0 ${WIDTH} ${HEIGHT}`} className="h-7 w-30 shrink-0">
        <polygon points={band} fill="var(--chart-band)" />
        <polyline points={line} fill="none" stroke="var(--chart)" strokeWidth="1.75" strokeLinejoin="round" />
        <circle cx={x(parts.length - 1)} cy={y(last.rate)} r="2.5" fill="var(--chart)" />
      </svg>
      <span className="numeric whitespace-nowrap">
        <span className="font-medium">{formatPercent(fraction(last.rate))}</span>
        <span className="text-ink-muted">
          {" "}
          {formatInterval({ low: fraction(last.low), high: fraction(last.high) })}, n = {last.n}
        </span>
      </span>
    </div>
  );
}
