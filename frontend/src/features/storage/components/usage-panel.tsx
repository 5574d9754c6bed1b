/** What lies in the object store by task and by kind, and what of it no row names. */

import { Recycle } from "lucide-react";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/notice";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type GcReport, type Storage, type TaskUsage, useCollect } from "@/features/storage/api/storage";
import { agoText } from "@/features/storage/storage-words";
import { formatBytes, formatCount, formatNoun } from "@/lib/units/format";

const taskColumns = [
  { key: "task", label: "Task" },
  { key: "episodes", label: "Episodes", isNumeric: true },
  { key: "bytes", label: "Size", isNumeric: true },
];
const kindColumns = [
  { key: "kind", label: "Kind" },
  { key: "objects", label: "Objects", isNumeric: true },
  { key: "bytes", label: "Size", isNumeric: true },
  { key: "orphans", label: "Named by no row", isNumeric: true },
  { key: "orphanBytes", label: "Size", isNumeric: true },
];

export function TaskTable({ caption, rows }: { readonly caption: string; readonly rows: readonly TaskUsage[] }) {
  return (
    <Table caption={caption} columns={taskColumns}>
      {rows.map((row) => (
        <tr key={row.task} className="hover:bg-raised">
          <Cell>{row.task}</Cell>
          <Cell isNumeric>{formatCount(row.episodes)}</Cell>
          <Cell isNumeric>{formatBytes(row.bytes)}</Cell>
        </tr>
      ))}
    </Table>
  );
}

interface GarbagePanelProps {
  readonly storage: Storage;
  readonly now: number;
  readonly isWaiting: boolean;
  readonly onAsked: () => void;
}

export function GarbagePanel({ storage, now, isWaiting, onAsked }: GarbagePanelProps) {
  const collect = useCollect();
  const [isAsking, setIsAsking] = useState(false);
  const ask = (isDelete: boolean) =>
    collect.mutate(isDelete, {
      onSuccess: onAsked,
      onError: (error) => notify("failed", `It was not asked for. ${error.message}`),
    });
  const orphans = storage.gc === null ? 0 : orphansOf(storage.gc);
  return (
    <Panel
      title="Objects"
      actions={
        <div className="flex gap-2">
          <Button disabled={isWaiting} onClick={() => ask(false)}>
            {isWaiting ? "Looking …" : "Look again"}
          </Button>
          <Button disabled={isWaiting || orphans === 0} onClick={() => setIsAsking(true)}>
            Remove garbage
          </Button>
        </div>
      }
    >
      {storage.gc === null ? (
        <Notice icon={Recycle} title="Nobody has looked yet">
          Looking counts all objects, and finds those that no row names.
        </Notice>
      ) : (
        <Report report={storage.gc} when={agoText(storage.gc_at, now)} />
      )}
      {isAsking && storage.gc !== null ? (
        <Dialog title="Remove garbage?" onClose={() => setIsAsking(false)}>
          <p className="text-sm">
            {formatNoun(orphans, "object")} that no row names and that are older than a day go for good. Each is looked up once more before.
          </p>
          <div className="mt-4 flex justify-end gap-2">
            <Button onClick={() => setIsAsking(false)}>Keep them</Button>
            <Button
              variant="primary"
              onClick={() => {
                setIsAsking(false);
                ask(true);
              }}
            >
              Remove {formatNoun(orphans, "object")}
            </Button>
          </div>
        </Dialog>
      ) : null}
    </Panel>
  );
}

/** What there is to remove: nothing after a report that removed it. */
const orphansOf = (report: GcReport): number =>
  report.is_dry ? report.kinds.reduce((sum, kind) => sum + kind.orphans, 0) + report.incoming : 0;

function Report({ report, when }: { readonly report: GcReport; readonly when: string }) {
  const removed = report.kinds.reduce((sum, kind) => sum + kind.removed, 0);
  return (
    <>
      <p className="mb-2 text-sm text-ink-muted">
        Looked {when}. {report.is_dry ? "Nothing was removed." : `${formatNoun(removed, "object")} removed.`} Pieces of unfinished uploads:{" "}
        {formatCount(report.incoming)}, {formatBytes(report.incoming_bytes)}.
      </p>
      <Table caption="Objects by kind" columns={kindColumns}>
        {report.kinds.map((kind) => (
          <tr key={kind.kind} className="hover:bg-raised">
            <Cell>{kind.kind}</Cell>
            <Cell isNumeric>{formatCount(kind.objects)}</Cell>
            <Cell isNumeric>{formatBytes(kind.bytes)}</Cell>
            <Cell isNumeric>{kind.kind === "other" ? "–" : formatCount(kind.orphans)}</Cell>
            <Cell isNumeric>{kind.kind === "other" ? "–" : formatBytes(kind.orphan_bytes)}</Cell>
          </tr>
        ))}
      </Table>
    </>
  );
}
