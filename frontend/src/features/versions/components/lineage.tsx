/** The versions of a run, the newest first, with their descent drawn beside them, numbers, and where each one drives. */

import { Link } from "react-router";

import { Cell, Table } from "@/components/ui/table";
import type { Version } from "@/features/versions/api/versions";
import { StageChips } from "@/features/versions/components/stage-chips";
import { lanesOf, type Node } from "@/features/versions/lanes";
import { rateText } from "@/features/versions/words";
import { formatBytes, formatCount, formatDay } from "@/lib/units/format";

const ROW = 36;
const LANE = 14;
const MOST_LANES = 8;

const columns = [
  { key: "graph", label: "Descent" },
  { key: "version", label: "Version" },
  { key: "stage", label: "Stage" },
  { key: "robots", label: "Robots", isNumeric: true },
  { key: "success", label: "Autonomous success, 95 % interval, n", isNumeric: true },
  { key: "interventions", label: "With intervention", isNumeric: true },
  { key: "step", label: "Step", isNumeric: true },
  { key: "size", label: "Size", isNumeric: true },
  { key: "published", label: "Published" },
];

export function Lineage({ versions }: { readonly versions: readonly Version[] }) {
  const nodes = lanesOf(versions);
  const lanes = Math.min(MOST_LANES, Math.max(1, ...nodes.map(({ lane }) => lane + 1)));
  return (
    <Table caption="Versions" columns={columns} className="max-h-[70dvh]">
      {nodes.map((node, row) => (
        <tr key={node.version.id} className="hover:bg-raised" style={{ height: ROW }}>
          <Cell className="py-0">
            <Descent node={node} row={row} nodes={nodes} lanes={lanes} />
          </Cell>
          <VersionCells version={node.version} />
        </tr>
      ))}
    </Table>
  );
}

function VersionCells({ version }: { readonly version: Version }) {
  return (
    <>
      <Cell className="numeric whitespace-nowrap">
        <Link to={`/versions/${version.id}`} className="font-medium text-link underline underline-offset-2">
          v{version.number}
        </Link>
        {version.notes === "" ? null : (
          <span className="ml-2 inline-block max-w-48 truncate align-bottom text-ink-muted">{version.notes}</span>
        )}
      </Cell>
      <Cell>
        <StageChips stages={version.stages} />
      </Cell>
      <Cell isNumeric>{formatCount(version.robots)}</Cell>
      <Cell isNumeric className="whitespace-nowrap">
        {rateText(version.rates.success)}
      </Cell>
      <Cell isNumeric className="whitespace-nowrap">
        {rateText(version.rates.interventions)}
      </Cell>
      <Cell isNumeric>{formatCount(version.step)}</Cell>
      <Cell isNumeric className="whitespace-nowrap">
        {formatBytes(version.size_bytes)}
      </Cell>
      <Cell className="numeric whitespace-nowrap text-ink-muted">{formatDay(Date.parse(version.published_at))}</Cell>
    </>
  );
}

interface DescentProps {
  readonly node: Node;
  readonly row: number;
  readonly nodes: readonly Node[];
  readonly lanes: number;
}

const at = (lane: number): number => Math.min(lane, MOST_LANES - 1) * LANE + LANE / 2;

/** One row of the drawing: the dot, the line down to the parent, and lines that pass. */
function Descent({ node, row, nodes, lanes }: DescentProps) {
  const passing = nodes.slice(0, row).filter(({ parentRow }) => parentRow !== null && parentRow > row);
  const ending = nodes.slice(0, row).filter(({ parentRow }) => parentRow === row);
  return (
    <svg width={lanes * LANE} height={ROW} aria-hidden className="block text-ink-muted">
      {passing.map((line) => (
        <path key={line.version.id} d={`M${at(line.lane)} 0V${ROW}`} stroke="currentColor" fill="none" strokeWidth={1.5} />
      ))}
      {ending.map((line) => (
        <path
          key={line.version.id}
          d={`M${at(line.lane)} 0 C${at(line.lane)} ${ROW / 4} ${at(node.lane)} ${ROW / 4} ${at(node.lane)} ${ROW / 2}`}
          stroke="currentColor"
          fill="none"
          strokeWidth={1.5}
        />
      ))}
      {node.parentRow === null ? null : (
        <path d={`M${at(node.lane)} ${ROW / 2}V${ROW}`} stroke="currentColor" fill="none" strokeWidth={1.5} />
      )}
      <circle
        cx={at(node.lane)}
        cy={ROW / 2}
        r={4.5}
        strokeWidth={1.5}
        stroke="currentColor"
        className={node.version.stages.includes("current") ? "fill-ink" : "fill-surface"}
      />
    </svg>
  );
}
