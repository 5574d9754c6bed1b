/** To the exports page, which asks in which format. What is to be exported goes with the address; ids, of which there
 *  may be thousands, in the history's state. */

import { PackageOpen } from "lucide-react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import type { ExportOf } from "@/features/exports/api/exports";
import { useMay } from "@/hooks/use-session";

export function ExportLink({ of }: { readonly of: ExportOf }) {
  const label = (
    <>
      <PackageOpen aria-hidden className="size-4" />
      Export
    </>
  );
  const mayExport = useMay("export");
  if (!mayExport) return <Button needs="export">{label}</Button>;
  const parameters = new URLSearchParams();
  if (of.dataset_version !== undefined) parameters.set("version", of.dataset_version);
  if (of.filter !== undefined) parameters.set("filter", JSON.stringify(of.filter));
  return (
    <Link
      to={{ pathname: "/datasets/exports", search: `${parameters}` }}
      state={of.ids === undefined ? null : { exportIds: of.ids }}
      className="inline-flex h-8 shrink-0 items-center gap-1.5 rounded-md border border-line-strong bg-surface px-3 text-sm whitespace-nowrap hover:bg-raised"
    >
      {label}
    </Link>
  );
}
