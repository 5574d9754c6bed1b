/** The imports there were, and the way to a new one. */

import { PackageOpen } from "lucide-react";
import { Link } from "react-router";

import { Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { type Import, useImports } from "@/features/imports/api/imports";
import { NewImport } from "@/features/imports/components/new-import";
import { phaseText, stateWords } from "@/features/imports/import-words";
import { useRefusal } from "@/hooks/use-session";
import { formatCount, formatDay } from "@/lib/units/format";

const columns = [
  { key: "name", label: "Name" },
  { key: "state", label: "State" },
  { key: "episodes", label: "New episodes", isNumeric: true },
  { key: "by", label: "By" },
  { key: "at", label: "Begun" },
];

export function ImportsPage() {
  const { data, error, refetch } = useImports();
  const refusal = useRefusal("import");
  return (
    <div className="flex flex-col gap-4">
      <h1 className="text-xl font-semibold">Imports</h1>
      {refusal === null ? <NewImport /> : <p className="text-sm text-ink-muted">{refusal}</p>}
      <Panel title="Imports so far">
        {data !== undefined ? (
          <List imports={data.results} />
        ) : error === null ? (
          <Skeleton className="h-40" />
        ) : (
          <ReadFailed title="The imports could not be read" error={error} onRetry={() => void refetch()} />
        )}
      </Panel>
    </div>
  );
}

function List({ imports }: { readonly imports: readonly Import[] }) {
  if (imports.length === 0) {
    return (
      <Notice icon={PackageOpen} title="Nothing has been imported yet">
        A LeRobot dataset becomes demonstrations in the library, and runs learn from them.
      </Notice>
    );
  }
  return (
    <Table caption="Imports, the newest first" columns={columns}>
      {imports.map((each) => {
        const word = stateWords[each.state];
        const isActive = each.state === "checking" || each.state === "running";
        return (
          <tr key={each.id} className="hover:bg-raised">
            <Cell className="max-w-80 truncate font-medium">
              <Link className="text-link hover:underline" to={`/datasets/imports/${each.id}`}>
                {each.name}
              </Link>
            </Cell>
            <Cell>
              <span className="flex items-center gap-2">
                <Chip icon={word.icon} tone={word.tone}>
                  {word.text}
                </Chip>
                {isActive ? <span className="text-xs text-ink-muted">{phaseText(each)}</span> : null}
              </span>
            </Cell>
            <Cell isNumeric>{each.registered === null ? "–" : formatCount(each.registered)}</Cell>
            <Cell className="text-ink-muted">{each.requested_by_name === "" ? "command line" : each.requested_by_name}</Cell>
            <Cell className="whitespace-nowrap">{formatDay(Date.parse(each.created_at))}</Cell>
          </tr>
        );
      })}
    </Table>
  );
}
