/** Usage by task, objects by kind with the garbage among them, the last verification, and the retention rules. */

import { ShieldCheck } from "lucide-react";
import { useState } from "react";

import { Panel } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { type Storage, useStorage } from "@/features/storage/api/storage";
import { RulesPanel } from "@/features/storage/components/rules-panel";
import { GarbagePanel, TaskTable } from "@/features/storage/components/usage-panel";
import { agoText } from "@/features/storage/storage-words";
import { useServerNow } from "@/hooks/use-now";
import { formatBytes, formatCount, formatNoun } from "@/lib/units/format";

export function StoragePage() {
  // The report before the one that was asked for; undefined while none was.
  const [askedAt, setAskedAt] = useState<string | null | undefined>(undefined);
  const [isAsked, setIsAsked] = useState(false);
  const { data, error, refetch } = useStorage(isAsked);
  const now = useServerNow();
  if (isAsked && data !== undefined && data.gc_at !== askedAt) setIsAsked(false);
  if (data === undefined && error === null) return <Skeleton className="h-96" />;
  if (data === undefined) {
    return (
      <Panel title="Storage">
        <ReadFailed title="The storage could not be read" error={error} onRetry={() => void refetch()} />
      </Panel>
    );
  }
  return (
    <div className="flex flex-col gap-4">
      <h1 className="sr-only">Storage</h1>
      <div className="grid gap-4 lg:grid-cols-2">
        <Panel title="Episodes by task">
          {data.by_task.length === 0 ? (
            <p className="text-sm text-ink-muted">There are no episodes yet.</p>
          ) : (
            <TaskTable caption="Episodes by task" rows={data.by_task} />
          )}
        </Panel>
        <VerifyPanel storage={data} now={now} />
      </div>
      <GarbagePanel
        storage={data}
        now={now}
        isWaiting={isAsked}
        onAsked={() => {
          setAskedAt(data.gc_at);
          setIsAsked(true);
        }}
      />
      <RulesPanel now={now} />
    </div>
  );
}

function VerifyPanel({ storage, now }: { readonly storage: Storage; readonly now: number }) {
  const report = storage.verify;
  return (
    <Panel title="Verification">
      {report === null ? (
        <Notice icon={ShieldCheck} title="Nothing was verified yet">
          <code className="font-mono">manage.py store_verify --all</code> hashes every object again.
        </Notice>
      ) : (
        <>
          <p className="text-sm">
            {agoText(storage.verify_at, now)}: {formatNoun(report.episodes, "episode")} ({report.scope}), {formatCount(report.objects)} objects,{" "}
            {formatBytes(report.bytes)}.
          </p>
          <p className={report.damaged === 0 ? "mt-1 text-sm text-ink-muted" : "mt-1 text-sm font-medium text-fault"}>
            {report.damaged === 0 ? "Everything was whole." : `${formatCount(report.damaged)} damaged; the learner leaves these episodes out.`}
          </p>
          {report.problems.length === 0 ? null : (
            <ul tabIndex={0} aria-label="Problems" className="mt-2 max-h-40 overflow-auto font-mono text-xs">
              {report.problems.map((problem) => (
                <li key={problem}>{problem}</li>
              ))}
            </ul>
          )}
        </>
      )}
    </Panel>
  );
}
