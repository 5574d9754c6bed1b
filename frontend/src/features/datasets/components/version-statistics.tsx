/** What a version holds, counted by kind, and the statistics of its action and state. */

import { Panel } from "@/components/ui/card";
import { Progress } from "@/components/ui/progress";
import { Cell, Table } from "@/components/ui/table";
import type { Feature, Group, VersionDetail } from "@/features/datasets/api/versions";
import { groupName } from "@/features/datasets/dataset-words";
import { formatCount, formatNoun, formatNumber } from "@/lib/units/format";

const groupColumns = (title: string) => [
  { key: "name", label: title },
  { key: "episodes", label: "Episodes", isNumeric: true },
  { key: "frames", label: "Frames", isNumeric: true },
  { key: "successes", label: "Successes", isNumeric: true },
];
const featureColumns = [
  { key: "axis", label: "Axis" },
  { key: "min", label: "Min", isNumeric: true },
  { key: "max", label: "Max", isNumeric: true },
  { key: "mean", label: "Mean", isNumeric: true },
  { key: "std", label: "Std", isNumeric: true },
];

export function VersionStatistics({ version }: { readonly version: VersionDetail }) {
  const { statistics } = version;
  return (
    <Panel title="Statistics">
      <div className="grid grid-cols-1 items-start gap-x-6 gap-y-4 lg:grid-cols-2">
        <GroupTable title="Task" groups={statistics.tasks} />
        <GroupTable title="Policy version" groups={statistics.policy_versions} />
        <GroupTable title="Robot" groups={statistics.robots} />
        <GroupTable title="Operator" groups={statistics.operators} />
      </div>
      <StepsRead version={version} />
      <div className="mt-4 grid grid-cols-1 items-start gap-x-6 gap-y-4 lg:grid-cols-2">
        {statistics.features.map((feature) => (
          <FeatureTable key={`${feature.name} ${feature.axes.join(" ")}`} feature={feature} />
        ))}
      </div>
    </Panel>
  );
}

function GroupTable({ title, groups }: { readonly title: string; readonly groups: readonly Group[] }) {
  if (groups.length === 0) return null;
  return (
    <Table caption={`Episodes by ${title.toLowerCase()}`} columns={groupColumns(title)} className="max-h-64">
      {groups.map((group) => (
        <tr key={groupName(group)}>
          <Cell className="max-w-60 truncate">{groupName(group)}</Cell>
          <Cell isNumeric>{formatCount(group.episodes)}</Cell>
          <Cell isNumeric>{formatCount(group.frames)}</Cell>
          <Cell isNumeric>{group.successes === null ? "–" : formatCount(group.successes)}</Cell>
        </tr>
      ))}
    </Table>
  );
}

/** How far the reading of the steps has come; afterwards only what could not be read. */
function StepsRead({ version }: { readonly version: VersionDetail }) {
  const { episodes, unreadable } = version.statistics.steps_read;
  if (version.state === "describing") {
    return (
      <div className="mt-4 max-w-md">
        <p className="mb-1 text-sm" role="status">
          Reading the steps: {formatCount(episodes)} of {formatNoun(version.episodes, "episode")}
        </p>
        <Progress label="Episodes whose steps are read" value={episodes} max={version.episodes} />
      </div>
    );
  }
  if (unreadable === 0) return null;
  return <p className="mt-4 text-sm text-caution">The steps of {formatNoun(unreadable, "episode")} could not be read; they are not counted below.</p>;
}

function FeatureTable({ feature }: { readonly feature: Feature }) {
  const { name, axes, frames, min, max, mean, std } = feature;
  const value = (values: readonly number[], axis: number) => formatNumber(values[axis] ?? NaN);
  return (
    <div className="min-w-0">
      <h3 className="text-sm font-medium">
        <code>{name}</code> <span className="numeric font-normal text-ink-muted">over {formatNoun(frames, "frame")}</span>
      </h3>
      <Table caption={`Statistics of ${name}`} columns={featureColumns} className="max-h-64">
        {axes.map((axis, at) => (
          <tr key={axis}>
            <Cell className="max-w-40 truncate">{axis}</Cell>
            <Cell isNumeric>{value(min, at)}</Cell>
            <Cell isNumeric>{value(max, at)}</Cell>
            <Cell isNumeric>{value(mean, at)}</Cell>
            <Cell isNumeric>{value(std, at)}</Cell>
          </tr>
        ))}
      </Table>
    </div>
  );
}
