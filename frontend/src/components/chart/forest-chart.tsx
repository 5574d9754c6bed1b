/** Groups one below the other, each with its estimates and their intervals on one scale. */

import { colourOf } from "@/components/chart/line-chart";
import { valueTicks } from "@/components/chart/scale";
import { useWidth } from "@/components/chart/use-width";

export interface ForestRow {
  readonly label: string;
  readonly values: readonly { readonly value: number | null; readonly low: number | null; readonly high: number | null; readonly note: string }[];
}

interface ForestChartProps {
  readonly title: string;
  readonly rows: readonly ForestRow[];
  readonly names: readonly string[];
  readonly format: (value: number) => string;
  readonly top?: number;
  readonly targets?: readonly { readonly label: string; readonly value: number }[];
}

const RIGHT = 24;
const AXIS = 22;
const STEP = 13;

/** Its table has the numbers and the links; the picture itself is one image to screen readers. */
export function ForestChart({ title, rows, names, format, top, targets = [] }: ForestChartProps) {
  const [ref, width] = useWidth(480);
  const left = Math.min(170, width * 0.35);
  const gap = 12 + STEP * names.length;
  const height = rows.length * gap + AXIS + 4;
  const values = rows.flatMap((row) => row.values);
  const most = Math.max(0, ...values.map(({ value }) => value ?? 0));
  const ticks = valueTicks(top ?? (Math.min(Math.max(most, ...values.map(({ high }) => high ?? 0)), most * 2) || 1));
  const high = top ?? ticks.at(-1) ?? 1;
  const x = (value: number) => left + (Math.min(value, high) / high) * (width - left - RIGHT);
  const y = (row: number, name: number) => row * gap + 10 + STEP / 2 + name * STEP;
  return (
    <div>
      <div ref={ref} role="region" aria-label={`${title}, picture`} tabIndex={0} className="max-h-112 overflow-y-auto">
        <svg data-chart role="img" aria-label={`${title}. The table has the numbers.`} width={width} height={height} className="block text-ink">
          {ticks.filter((tick) => tick <= high).map((tick) => (
            <g key={tick}>
              <line x1={x(tick)} x2={x(tick)} y1={0} y2={height - AXIS} stroke="var(--chart-grid)" />
              <text x={x(tick)} y={height - 6} textAnchor="middle" fontSize={11} fill="var(--ink-muted)">
                {format(tick)}
              </text>
            </g>
          ))}
          {targets.map((target) => (
            <line key={target.label} x1={x(target.value)} x2={x(target.value)} y1={0} y2={height - AXIS} stroke="var(--ink-muted)" strokeDasharray="2 4">
              <title>{target.label}</title>
            </line>
          ))}
          {rows.map((row, index) => (
            <g key={`${index} ${row.label}`}>
              <text x={0} y={y(index, (names.length - 1) / 2) + 4} fontSize={12} fill="var(--ink)">
                {row.label.length > left / 7 ? `${row.label.slice(0, Math.floor(left / 7) - 1)}…` : row.label}
                <title>{row.label}</title>
              </text>
              {row.values.map(({ value, low, high: end, note }, name) =>
                value === null ? null : (
                  <g key={names[name]}>
                    <line x1={x(low ?? value)} x2={x(end ?? value)} y1={y(index, name)} y2={y(index, name)} stroke={colourOf(name)} strokeWidth={2} strokeOpacity={0.55} />
                    <circle cx={x(value)} cy={y(index, name)} r={3.5} fill={colourOf(name)}>
                      <title>{`${row.label}, ${names[name] ?? ""}: ${format(value)} (${note})`}</title>
                    </circle>
                  </g>
                ),
              )}
            </g>
          ))}
        </svg>
      </div>
      {names.length > 1 ? (
        <ul className="mt-1 flex flex-wrap gap-x-4 text-xs">
          {names.map((name, index) => (
            <li key={name} className="flex items-center gap-1.5">
              <span aria-hidden className="size-2.5 rounded-full" style={{ background: colourOf(index) }} />
              {name}
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}
