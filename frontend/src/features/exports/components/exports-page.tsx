/** `/datasets/exports`: what left or is leaving as files, with its progress; a dialog asks for another. */

import { PackageOpen } from "lucide-react";
import { useLocation, useNavigate, useSearchParams } from "react-router";

import { Card } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Table } from "@/components/ui/table";
import { type ExportOf, exportOfUrl, useExports } from "@/features/exports/api/exports";
import { ExportDialog } from "@/features/exports/components/export-dialog";
import { ExportTableRow } from "@/features/exports/components/export-row";
import { formatCount } from "@/lib/units/format";

const columns = [
  { key: "what", label: "Export" },
  { key: "format", label: "Format" },
  { key: "state", label: "State", className: "w-[45%]" },
  { key: "size", label: "Size", isNumeric: true },
  { key: "actions", label: "Actions", className: "text-right" },
];

export function ExportsPage() {
  const { asked, close } = useAsked();
  const list = useExports();
  return (
    <>
      <p className="mb-3 max-w-3xl text-sm text-ink-muted">
        Datasets as files: LeRobot, HDF5 or as recorded, with checksums. Begin one with “Export” on a dataset&apos;s version, or on episodes in
        the library.
      </p>
      <List list={list} />
      {asked === null ? null : <ExportDialog of={asked} onClose={close} />}
    </>
  );
}

/** What is to be exported stands in the address; ticked episodes, which may be thousands, in the history's state. */
function useAsked() {
  const [parameters] = useSearchParams();
  const { state } = useLocation() as { state: { readonly exportIds?: readonly string[] } | null };
  const navigate = useNavigate();
  const ids = state?.exportIds;
  const asked: ExportOf | null = ids === undefined ? exportOfUrl(parameters) : { ids };
  return { asked, close: () => void navigate("/datasets/exports", { replace: true, state: null }) };
}

function List({ list: { data, error, refetch } }: { readonly list: ReturnType<typeof useExports> }) {
  if (data === undefined && error !== null) {
    return (
      <Card>
        <ReadFailed title="Exports could not be read" error={error} onRetry={() => void refetch()} />
      </Card>
    );
  }
  if (data === undefined) return <Skeleton className="h-48" />;
  if (data.rows.length === 0) {
    return (
      <Card>
        <Notice icon={PackageOpen} title="No export yet">
          A finished one can be downloaded here, in a browser or with curl, until it expires.
        </Notice>
      </Card>
    );
  }
  return (
    <Card className="overflow-hidden">
      <Table caption="Exports" columns={columns}>
        {data.rows.map((row) => (
          <ExportTableRow key={row.id} row={row} />
        ))}
      </Table>
      {data.hasMore ? <p className="p-3 text-center text-sm text-ink-muted">The newest {formatCount(data.rows.length)} are shown.</p> : null}
    </Card>
  );
}
