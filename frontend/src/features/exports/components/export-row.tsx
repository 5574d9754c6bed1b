/** One export of the list: what it is of, how far it is, what can be done with it. */

import { Ban, Download, RotateCw, Terminal, Trash2 } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Chip } from "@/components/ui/chip";
import { Progress } from "@/components/ui/progress";
import { Cell } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { downloadPath, type ExportRow, useCancelExport, useDeleteExport, useRetryExport } from "@/features/exports/api/exports";
import { CurlDialog } from "@/features/exports/components/curl-dialog";
import { failureAdvice, sourceName, stateWord } from "@/features/exports/export-words";
import { useMay } from "@/hooks/use-session";
import { formatBytes, formatCount, formatDay, formatDuration, formatNoun } from "@/lib/units/format";
import { seconds } from "@/lib/units/quantity";

export function ExportTableRow({ row }: { readonly row: ExportRow }) {
  const { icon, text, tone } = stateWord(row);
  return (
    <tr className="align-top hover:bg-raised">
      <Cell className="min-w-44">
        <SourceName row={row} />
        <span className="numeric block text-xs text-ink-muted">
          {formatNoun(row.episodes, "episode")}; {row.requested_by_name}, {formatDay(Date.parse(row.created_at))}
        </span>
      </Cell>
      <Cell className="whitespace-nowrap">
        <code className="text-xs">{row.format}</code>
        {row.destination === "" ? null : <span className="block text-xs text-ink-muted">to {row.destination}</span>}
      </Cell>
      <Cell>
        <div className="flex min-h-11 flex-wrap items-start gap-x-3 gap-y-1">
          <Chip icon={icon} tone={tone}>
            {text}
          </Chip>
          <Detail row={row} />
        </div>
      </Cell>
      <Cell isNumeric className="whitespace-nowrap">
        {row.size_bytes === null ? null : formatBytes(row.size_bytes)}
        {row.files === null ? null : <span className="block text-xs text-ink-muted">{formatNoun(row.files, "file")}</span>}
      </Cell>
      <Cell>
        <Actions row={row} />
      </Cell>
    </tr>
  );
}

function SourceName({ row }: { readonly row: ExportRow }) {
  const { dataset, version } = row.source;
  if (dataset === null || version === null) return <span className="font-medium">{sourceName(row)}</span>;
  return (
    <Link to={`/datasets/${dataset}?version=${version}`} className="font-medium text-link underline underline-offset-2">
      {sourceName(row)}
    </Link>
  );
}

function Detail({ row }: { readonly row: ExportRow }) {
  if (row.state === "running") return <Running row={row} />;
  if (row.error !== null) {
    return (
      <div className="min-w-0 grow basis-64 text-sm">
        <p className="break-words">
          {row.error.message} <code className="text-xs text-ink-muted">{row.error.code}</code>
        </p>
        <p className="text-ink-muted">{failureAdvice(row.error.code)}</p>
      </div>
    );
  }
  return <p className="numeric text-sm text-ink-muted">{outcome(row)}</p>;
}

function outcome(row: ExportRow): string {
  if (row.state === "expired") return "Its files are gone; retry makes the same again.";
  if (row.state !== "done") return "";
  const kept = row.resumed_files === 0 ? "" : `; went on after ${formatNoun(row.resumed_files, "file")}`;
  if (row.expires_at === null) return `Whole at ${row.destination}${kept}.`;
  return `Here until ${formatDay(Date.parse(row.expires_at))}${kept}.`;
}

function Running({ row }: { readonly row: ExportRow }) {
  const rate = row.bytes_per_s > 0 ? `${formatBytes(row.bytes_per_s)}/s` : "";
  const left = row.eta_s === null ? "" : `about ${formatDuration(seconds(row.eta_s))} left`;
  const parts = [`${formatCount(row.frames)} of ${formatNoun(row.frames_total, "frame")}`, rate, left].filter((part) => part !== "");
  return (
    <div className="min-w-0 grow basis-64">
      <p className="numeric text-sm">{parts.join(", ")}</p>
      <div className="my-1">
        <Progress label={`Progress of ${sourceName(row)}`} value={row.bytes_read} max={row.bytes_total} />
      </div>
      <p className="h-4 truncate text-xs text-ink-muted" title={row.file}>
        {row.file}
      </p>
    </div>
  );
}

function Actions({ row }: { readonly row: ExportRow }) {
  const [isCurlOpen, setCurlOpen] = useState(false);
  const cancel = useCancelExport();
  const retry = useRetryExport();
  const remove = useDeleteExport();
  const name = sourceName(row);
  const told = (done: string) => ({
    onSuccess: () => notify("done", done),
    onError: (error: Error) => notify("failed", `It was left as it is. ${error.message}`),
  });
  const isActive = row.state === "queued" || row.state === "running";
  const canDownload = useMay("export") && row.state === "done" && row.destination === "";
  return (
    <div className="flex justify-end gap-1">
      {canDownload ? (
        <>
          <a
            href={downloadPath(row.id)}
            download={`${row.folder}.tar`}
            aria-label={`Download ${name}`}
            className="inline-flex h-8 shrink-0 items-center gap-1.5 rounded-md border border-line-strong bg-surface px-3 text-sm whitespace-nowrap hover:bg-raised"
          >
            <Download aria-hidden className="size-4" />
            Download
          </a>
          <Button variant="icon" aria-label={`Download ${name} with curl`} title="With curl" onClick={() => setCurlOpen(true)}>
            <Terminal aria-hidden className="size-4" />
          </Button>
        </>
      ) : null}
      {isActive ? (
        <Button needs="export" aria-label={`Cancel ${name}`} disabled={row.is_cancelling || cancel.isPending} onClick={() => cancel.mutate(row.id, told(`${name} is being stopped.`))}>
          <Ban aria-hidden className="size-4" />
          Cancel
        </Button>
      ) : null}
      {["failed", "cancelled", "expired"].includes(row.state) ? (
        <Button needs="export" aria-label={`Retry ${name}`} disabled={retry.isPending} onClick={() => retry.mutate(row.id, told(`${name} waits for its turn.`))}>
          <RotateCw aria-hidden className="size-4" />
          Retry
        </Button>
      ) : null}
      {isActive ? null : (
        <Button
          needs="export"
          variant="icon"
          aria-label={`Delete ${name}`}
          title="Delete"
          disabled={remove.isPending}
          onClick={() => remove.mutate(row.id, told(`${name} is deleted.`))}
        >
          <Trash2 aria-hidden className="size-4" />
        </Button>
      )}
      {isCurlOpen ? <CurlDialog row={row} onClose={() => setCurlOpen(false)} /> : null}
    </div>
  );
}
