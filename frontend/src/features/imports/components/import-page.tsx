/** One import: how far it is, what the dry run found, what becomes what, and what came of it. */

import { CircleCheck, RotateCw, TriangleAlert } from "lucide-react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Card, Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { Notice } from "@/components/ui/notice";
import { Progress } from "@/components/ui/progress";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { type ImportDetail, type Mapped, useCancel, useCheck, useImport, useMapping } from "@/features/imports/api/imports";
import { MappingForm } from "@/features/imports/components/mapping-form";
import { ReportPanel } from "@/features/imports/components/report-panel";
import { phaseText, stateWords } from "@/features/imports/import-words";
import { useMay } from "@/hooks/use-session";
import { formatCount, formatDay, formatNoun } from "@/lib/units/format";

export function ImportPage({ id }: { readonly id: string }) {
  const { data, error, refetch } = useImport(id);
  if (data !== undefined) return <Loaded row={data} />;
  if (error === null) return <Skeleton className="h-96" />;
  return (
    <Panel title="Import">
      <ReadFailed title="The import could not be read" error={error} onRetry={() => void refetch()} />
    </Panel>
  );
}

function Loaded({ row }: { readonly row: ImportDetail }) {
  const isOver = row.state === "done" || row.state === "failed" || row.state === "cancelled";
  return (
    <div className="flex flex-col gap-4">
      <Head row={row} isOver={isOver} />
      {row.state === "checking" || row.state === "running" ? <Working row={row} /> : null}
      {row.state === "created" ? <Waiting row={row} /> : null}
      {row.error_message !== "" ? <Trouble row={row} /> : null}
      {row.state === "done" ? <Result row={row} /> : null}
      {row.report === null ? null : <Checked row={row} />}
    </div>
  );
}

function Head({ row, isOver }: { readonly row: ImportDetail; readonly isOver: boolean }) {
  const cancel = useCancel(row.id);
  const word = stateWords[row.state];
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
      <nav aria-label="Where this is" className="text-sm text-ink-muted">
        <Link className="text-link hover:underline" to="/datasets/imports">
          Imports
        </Link>{" "}
        /
      </nav>
      <h1 className="min-w-0 truncate text-xl font-semibold">{row.name}</h1>
      <Chip icon={word.icon} tone={word.tone}>
        {word.text}
      </Chip>
      <span className="text-sm text-ink-muted">
        {row.requested_by_name === "" ? "by command line" : `by ${row.requested_by_name}`}, {formatDay(Date.parse(row.created_at))}
      </span>
      <span className="grow" />
      <p role="alert" className="text-sm text-fault">
        {cancel.error?.message}
      </p>
      {isOver ? null : (
        <Button needs="import" variant="quiet" disabled={cancel.isPending} onClick={() => cancel.mutate(undefined)}>
          Cancel the import
        </Button>
      )}
    </div>
  );
}

function Working({ row }: { readonly row: ImportDetail }) {
  return (
    <Card className="flex flex-col gap-2 px-4 py-3" aria-live="polite">
      <p className="numeric text-sm">{phaseText(row)}</p>
      <Progress label={phaseText(row)} value={row.progress} max={row.progress_total} />
    </Card>
  );
}

function Waiting({ row }: { readonly row: ImportDetail }) {
  const check = useCheck(row.id);
  return (
    <Card className="flex flex-wrap items-center gap-3 px-4 py-3 text-sm">
      <p className="min-w-0 grow">It has not been checked yet.</p>
      <p role="alert" className="text-fault">
        {check.error?.message}
      </p>
      <Button needs="import" onClick={() => check.mutate(undefined)} disabled={check.isPending}>
        <RotateCw aria-hidden className="size-4" />
        Check
      </Button>
    </Card>
  );
}

function Trouble({ row }: { readonly row: ImportDetail }) {
  return (
    <Card className="flex items-start gap-2.5 border-fault px-4 py-3 text-sm">
      <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0 text-fault" />
      <p className="min-w-0">
        {row.error_message} <span className="font-mono text-xs text-ink-muted">{row.error_code}</span>
      </p>
    </Card>
  );
}

function Result({ row }: { readonly row: ImportDetail }) {
  const others = [
    row.known > 0 ? `${formatCount(row.known)} were here already` : "",
    row.left_out > 0 ? `${formatCount(row.left_out)} left out` : "",
  ].filter((each) => each !== "");
  return (
    <Card className="flex flex-wrap items-center gap-x-3 gap-y-1 px-4 py-3 text-sm">
      <CircleCheck aria-hidden className="size-4 text-ink-muted" />
      <p className="font-medium">{formatNoun(row.registered ?? 0, "new episode")}</p>
      <p className="text-ink-muted">{others.join(", ")}</p>
      <span className="grow" />
      {(row.registered ?? 0) > 0 ? (
        <Link className="text-link hover:underline" to={`/episodes?tag=${encodeURIComponent(row.tag)}`}>
          See them in the library
        </Link>
      ) : null}
    </Card>
  );
}

function Checked({ row }: { readonly row: ImportDetail }) {
  const { data, error } = useMapping(row.id, row.mapping_revision);
  const mayImport = useMay("import");
  const { report } = row;
  if (report === null) return null;
  if (row.state !== "checked" || !mayImport) return <ReportPanel report={report} mapping={data?.mapping ?? null} />;
  if (data === undefined && error !== null) {
    return (
      <Notice icon={TriangleAlert} title="The mapping could not be read">
        {error.message}
      </Notice>
    );
  }
  if (data === undefined) return <Skeleton className="h-96" />;
  return <Mapping key={data.revision} row={row} mapped={data} />;
}

function Mapping({ row, mapped }: { readonly row: ImportDetail; readonly mapped: Mapped }) {
  return row.report === null ? null : <MappingForm id={row.id} report={row.report} mapped={mapped} />;
}
