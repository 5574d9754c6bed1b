/** The chart of success over time with its band, its versions, and what lies under the pointer. */

import "uplot/dist/uPlot.min.css";

import { useEffect, useRef, useState } from "react";
import type uPlot from "uplot";

import type { SuccessSeries } from "@/features/training/api/success";
import { type Hover, makePlot, toData } from "@/features/training/components/success-plot";
import { proportionOf, versionAt } from "@/features/training/success-points";
import { useSeenTheme } from "@/hooks/use-theme";
import { cn } from "@/lib/class-names";
import { formatClock, formatCount, formatPercent } from "@/lib/units/format";
import { formatInterval } from "@/lib/units/interval";

interface SuccessChartProps {
  readonly series: SuccessSeries;
  /** What the picture says, for those who do not see it. The table has the numbers. */
  readonly description: string;
}

export function SuccessChart({ series, description }: SuccessChartProps) {
  const ref = useRef<HTMLDivElement>(null);
  const plotRef = useRef<uPlot | null>(null);
  const seriesRef = useRef(series);
  const [hover, setHover] = useState<Hover | null>(null);
  const theme = useSeenTheme();

  useEffect(() => {
    const container = ref.current;
    if (container === null) return;
    const options = { container, versions: () => seriesRef.current.versions, onHover: setHover };
    const plot = makePlot(options, toData(seriesRef.current.points));
    plotRef.current = plot;
    const observer = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = container;
      if (width > 0) plot.setSize({ width, height });
    });
    observer.observe(container);
    return () => {
      observer.disconnect();
      plot.destroy();
      plotRef.current = null;
    };
  }, [theme]);

  useEffect(() => {
    if (seriesRef.current === series) return;
    seriesRef.current = series;
    plotRef.current?.setData(toData(series.points));
  }, [series]);

  return (
    <div className="relative h-full">
      <div ref={ref} role="img" aria-label={description} className="h-full" />
      {hover === null ? null : <Reading series={series} hover={hover} />}
    </div>
  );
}

function Reading({ series, hover }: { readonly series: SuccessSeries; readonly hover: Hover }) {
  const point = series.points[hover.index];
  if (point === undefined) return null;
  const value = proportionOf(point);
  const version = versionAt(series.versions, point.at_ms);
  return (
    <div
      aria-hidden
      className={cn(
        "numeric pointer-events-none absolute top-5 z-10 rounded-md border border-line bg-raised px-2.5 py-1.5 text-xs shadow-overlay",
        hover.isRight && "-translate-x-full",
      )}
      style={{ left: hover.left + (hover.isRight ? -10 : 10) }}
    >
      <p className="text-ink-muted">
        {formatClock(point.at_ms)}
        {version ? `, v${version.number}` : ""}
      </p>
      {point.n === 0 ? (
        <p>No episodes in this window</p>
      ) : (
        <>
          <p className="text-base font-semibold">{formatPercent(value.rate)}</p>
          <p>95 % interval {formatInterval(value)}</p>
          <p>
            {formatCount(value.successes)} of n = {formatCount(value.n)}
          </p>
        </>
      )}
    </div>
  );
}
