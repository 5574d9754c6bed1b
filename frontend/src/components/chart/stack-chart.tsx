/** Shares of a whole over buckets of time, stacked. */

import { colourOf } from "@/components/chart/line-chart";
import { spread, timeShape, valueTicks } from "@/components/chart/scale";
import { useWidth } from "@/components/chart/use-width";
import { formatInZone } from "@/lib/time-zone";

export interface Layer {
  readonly name: string;
  /** Index of its colour, so that a state has the same in every chart. */
  readonly colour: number;
  readonly values: readonly number[];
}

interface StackChartProps {
  readonly title: string;
  readonly edges: readonly number[];
  readonly layers: readonly Layer[];
  readonly zone: string;
  readonly format: (value: number) => string;
}

const HEIGHT = 240;
const LEFT = 52;
const BOTTOM = 22;
const TOP = 8;

export function StackChart({ title, edges, layers, zone, format }: StackChartProps) {
  const [ref, width] = useWidth(640);
  const buckets = edges.length - 1;
  const sums = Array.from({ length: buckets }, (_, bucket) => layers.reduce((sum, layer) => sum + (layer.values[bucket] ?? 0), 0));
  const ticks = valueTicks(Math.max(...sums, 0));
  const high = ticks.at(-1) ?? 1;
  const first = edges[0] ?? 0;
  const last = edges.at(-1) ?? 1;
  const x = (time: number) => LEFT + ((time - first) / (last - first)) * (width - LEFT - 4);
  const y = (value: number) => TOP + (1 - value / high) * (HEIGHT - TOP - BOTTOM);
  const below = (layer: number, bucket: number) => layers.slice(0, layer).reduce((sum, each) => sum + (each.values[bucket] ?? 0), 0);
  const shape = timeShape(edges);
  return (
    <div ref={ref}>
      <svg data-chart role="img" aria-label={`${title}. The table has the numbers.`} width={width} height={HEIGHT} className="block text-ink">
        {ticks.map((tick) => (
          <g key={tick}>
            <line x1={LEFT} x2={width - 4} y1={y(tick)} y2={y(tick)} stroke="var(--chart-grid)" />
            <text x={LEFT - 6} y={y(tick) + 4} textAnchor="end" fontSize={11} fill="var(--ink-muted)">
              {format(tick)}
            </text>
          </g>
        ))}
        {spread(buckets, Math.max(2, Math.floor(width / 110))).map((bucket) => (
          <text key={bucket} x={x(edges[bucket] ?? 0)} y={HEIGHT - 6} fontSize={11} fill="var(--ink-muted)">
            {formatInZone(edges[bucket] ?? 0, zone, shape)}
          </text>
        ))}
        {layers.map((layer, index) =>
          layer.values.map((value, bucket) => {
            if (value <= 0) return null;
            const left = x(edges[bucket] ?? 0);
            const wide = Math.max(1, x(edges[bucket + 1] ?? 0) - left - 1);
            const base = below(index, bucket);
            return (
              <rect key={`${layer.name} ${bucket}`} x={left} width={wide} y={y(base + value)} height={Math.max(0.5, y(base) - y(base + value))} fill={colourOf(layer.colour)}>
                <title>{`${formatInZone(edges[bucket] ?? 0, zone, "full")}, ${layer.name}: ${format(value)}`}</title>
              </rect>
            );
          }),
        )}
      </svg>
      <ul className="mt-1 flex flex-wrap gap-x-4 text-xs">
        {layers.map((layer) => (
          <li key={layer.name} className="flex items-center gap-1.5">
            <span aria-hidden className="size-2.5 rounded-sm" style={{ background: colourOf(layer.colour) }} />
            {layer.name}
          </li>
        ))}
      </ul>
    </div>
  );
}
