/** For each axis what was asked, what the robot applied, and what the policy would do now. */

import type { CockpitView } from "@/features/teleop/cockpit-session";
import { limitWord } from "@/features/teleop/words";
import { formatPercent } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

interface AxisBarsProps {
  readonly names: readonly string[];
  readonly view: CockpitView;
  readonly isDriving: boolean;
  /** Of the robot, to tell two panes apart. */
  readonly robot: string;
  readonly hasLegend: boolean;
}

const signed = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" });
const numberText = (value: number | undefined): string => (value === undefined ? "–" : signed.format(value));

export function AxisBars({ names, view: { feedback, input, peer }, isDriving, robot, hasLegend }: AxisBarsProps) {
  const word = peer.phase === "connected" ? feedback : null;
  const asked = isDriving ? input.axes : (word?.asked ?? []);
  return (
    <section aria-label={`Axes of ${robot}`} className="min-w-0" data-testid="axes">
      <table className="numeric w-full table-fixed text-xs">
        <caption className="sr-only">Asked, applied and proposed value of each axis, each from −1 to 1</caption>
        <thead>
          <tr className="text-ink-muted">
            <th scope="col" className="w-14 text-left font-normal">
              Axis
            </th>
            <th scope="col" className="font-normal">
              <span className="sr-only">Bar</span>
              {hasLegend ? <Legend /> : null}
            </th>
            <th scope="col" className="w-11 text-right font-normal">
              asked
            </th>
            <th scope="col" className="w-13 text-right font-normal">
              applied
            </th>
            <th scope="col" className="w-11 text-right font-normal">
              policy
            </th>
          </tr>
        </thead>
        <tbody>
          {names.map((name, index) => (
            <tr key={name} className="h-6">
              <th scope="row" className="truncate pr-1 text-left font-medium" title={name}>
                {name}
              </th>
              <td className="px-2">
                <Bar asked={asked[index]} applied={word?.applied[index]} proposed={word?.proposed?.[index]} />
              </td>
              <td className="text-right">{numberText(asked[index])}</td>
              <td className="text-right">{numberText(word?.applied[index])}</td>
              <td className="text-right text-ink-muted">{numberText(word?.proposed?.[index])}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="numeric mt-1 h-4 truncate text-xs" data-testid="limits">
        {word === null ? "" : capText(word.speed_cap, word.limits)}
      </p>
    </section>
  );
}

/** How much of what is asked the robot does at most, and why. "Full speed" would speak of the chosen speed. */
function capText(cap: number, limits: readonly string[]): string {
  const why = limits.map(limitWord).join(", ");
  const held = why ? `held back by: ${why}` : "not held back by the robot";
  const text = cap >= 1 ? held : `at most ${formatPercent(fraction(cap))} of full speed${why ? `; ${held}` : ""}`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function Legend() {
  return (
    <span aria-hidden className="flex justify-center gap-2.5 whitespace-nowrap">
      <span className="inline-flex items-center gap-1">
        <span className="h-3 w-0.5 bg-ink" /> ask
      </span>
      <span className="inline-flex items-center gap-1">
        <span className="h-1.5 w-3 bg-line-strong" /> done
      </span>
      <span className="inline-flex items-center gap-1">
        <span className="size-1.5 rotate-45 bg-assist" /> policy
      </span>
    </span>
  );
}

interface BarProps {
  readonly asked: number | undefined;
  readonly applied: number | undefined;
  readonly proposed: number | undefined;
}

const place = (value: number): string => `${50 + 50 * Math.max(-1, Math.min(1, value))}%`;

function Bar({ asked, applied = 0, proposed }: BarProps) {
  const width = Math.min(1, Math.abs(applied)) * 50;
  return (
    <div aria-hidden className="relative h-3.5 rounded-sm bg-inset">
      <div className="absolute inset-y-1 bg-line-strong" style={{ left: applied < 0 ? `${50 - width}%` : "50%", width: `${width}%` }} />
      <div className="absolute inset-y-0 left-1/2 w-px bg-line-strong" />
      {asked === undefined ? null : <div className="absolute -inset-y-px w-0.5 -translate-x-1/2 bg-ink" style={{ left: place(asked) }} />}
      {proposed === undefined ? null : (
        <div className="absolute top-1 size-1.5 -translate-x-1/2 rotate-45 bg-assist" style={{ left: place(proposed) }} />
      )}
    </div>
  );
}
