/** Where each version of a lineage is drawn: one row a version, the newest first, a lane for each line of descent. */

import type { Version } from "@/features/versions/api/versions";

export interface Node {
  readonly version: Version;
  readonly lane: number;
  /** Row of the parent further down, if it is in the list; else the line ends below. */
  readonly parentRow: number | null;
  readonly parentLane: number | null;
}

/** A version continues its parent's lane if it is that parent's newest child; any other child gets a lane of its own. */
export function lanesOf(versions: readonly Version[]): readonly Node[] {
  const rows = versions.toSorted((one, other) => other.number - one.number);
  const rowOf = new Map(rows.map((version, row) => [version.id, row]));
  const byNumber = new Map(rows.map((version) => [version.number, version.id]));
  // Versions of a time before parents were kept follow the one before them.
  const parentOf = (version: Version) => version.parent ?? byNumber.get(version.number - 1) ?? null;
  const heir = new Map<string, string>();
  for (const version of rows) {
    const parent = parentOf(version);
    if (parent !== null && !heir.has(parent)) heir.set(parent, version.id);
  }
  const laneOf = new Map<string, number>();
  let lanes = 0;
  for (const version of rows) {
    const child = heir.get(version.id);
    laneOf.set(version.id, (child === undefined ? undefined : laneOf.get(child)) ?? lanes++);
  }
  return rows.map((version) => {
    const parent = parentOf(version);
    return {
      version,
      lane: laneOf.get(version.id) ?? 0,
      parentRow: parent === null ? null : (rowOf.get(parent) ?? null),
      parentLane: parent === null ? null : (laneOf.get(parent) ?? null),
    };
  });
}
