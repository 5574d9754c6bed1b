/** What the dry run found: what would come in, and every problem, grouped. */

import { CircleCheck } from "lucide-react";

import { Panel } from "@/components/ui/card";
import { Figure } from "@/components/ui/figure";
import type { Mapping, Report } from "@/features/imports/api/imports";
import { ProblemList } from "@/features/imports/components/problem-list";
import { usedFeatures } from "@/features/imports/import-words";
import { formatCount, formatDuration, formatNumber, withUnit } from "@/lib/units/format";
import { seconds } from "@/lib/units/quantity";

interface ReportPanelProps {
  readonly report: Report;
  /** Of which features problems count; null: of all. */
  readonly mapping: Mapping | null;
}

export function ReportPanel({ report, mapping }: ReportPanelProps) {
  const isUsed = mapping === null ? () => true : usedFeatures(mapping);
  const copied = report.cameras.reduce((sum, camera) => sum + camera.copied, 0);
  const encoded = report.cameras.reduce((sum, camera) => sum + camera.encoded, 0);
  return (
    <Panel title="What the check found">
      <dl className="mb-4 grid grid-cols-2 gap-x-6 gap-y-2 sm:grid-cols-3 lg:grid-cols-6">
        <Figure label="Format">LeRobot {report.version}</Figure>
        <Figure label="Episodes" note={report.sound === report.episodes ? "(all sound)" : `(${formatCount(report.sound)} sound)`}>
          {formatCount(report.episodes)}
        </Figure>
        <Figure label="Frames" note={`(${formatDuration(seconds(report.frames / report.fps))})`}>
          {formatCount(report.frames)}
        </Figure>
        <Figure label="Rate">{withUnit(formatNumber(report.fps), "Hz")}</Figure>
        <Figure label="Instructions">{formatCount(Object.keys(report.tasks).length)}</Figure>
        <Figure label="Videos" note={encoded === 0 ? "copied as they are" : `copied, ${formatCount(encoded)} encoded anew`}>
          {formatCount(copied)}
        </Figure>
      </dl>
      {report.problems.length === 0 ? (
        <p className="flex items-center gap-2 text-sm">
          <CircleCheck aria-hidden className="size-4 text-ink-muted" />
          No problem was found.
        </p>
      ) : (
        <ProblemList problems={report.problems} isUsed={isUsed} />
      )}
    </Panel>
  );
}
