/** The audit log: filters that live in the address, rows with what was before and after, CSV. */

import { Bot, Cog, Download, FileSearch, type LucideIcon, UserRound } from "lucide-react";
import { useSearchParams } from "react-router";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { SelectField, TextField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { type AuditEntry, csvUrl, useAudit, useAuditFacets } from "@/features/audit/api/audit";
import { actionWords, differencesOf } from "@/features/audit/differences";
import { formatMoment } from "@/lib/units/format";

type Name = "actor" | "action" | "object" | "since" | "until";

export function AuditPage() {
  const [params, setParams] = useSearchParams();
  const valueOf = (name: Name) => params.get(name) ?? "";
  const set = (name: Name, value: string) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        if (value === "") next.delete(name);
        else next.set(name, value);
        return next;
      },
      { replace: true },
    );
  const query = queryOf(valueOf);
  return (
    <Panel
      title="Audit log"
      actions={
        <a
          href={csvUrl(query)}
          download
          className="inline-flex h-8 items-center gap-1.5 rounded-md border border-line-strong bg-surface px-3 text-sm hover:bg-raised"
        >
          <Download aria-hidden className="size-4" />
          CSV
        </a>
      }
    >
      <h1 className="sr-only">Audit log</h1>
      <Filters valueOf={valueOf} onValue={set} onClear={() => setParams({}, { replace: true })} isFiltered={query !== ""} />
      <Entries query={query} />
    </Panel>
  );
}

/** Local days as moments: `until` includes its day. */
function queryOf(valueOf: (name: Name) => string): string {
  const query = new URLSearchParams();
  for (const name of ["actor", "action", "object"] as const) if (valueOf(name) !== "") query.set(name, valueOf(name));
  const since = dayStart(valueOf("since"), 0);
  const until = dayStart(valueOf("until"), 1);
  if (since !== null) query.set("since", since);
  if (until !== null) query.set("until", until);
  return query.toString();
}

function dayStart(day: string, later: number): string | null {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day)) return null;
  const start = new Date(`${day}T00:00:00`);
  start.setDate(start.getDate() + later);
  return Number.isNaN(start.getTime()) ? null : start.toISOString();
}

interface FiltersProps {
  readonly valueOf: (name: Name) => string;
  readonly onValue: (name: Name, value: string) => void;
  readonly onClear: () => void;
  readonly isFiltered: boolean;
}

function Filters({ valueOf, onValue, onClear, isFiltered }: FiltersProps) {
  const facets = useAuditFacets().data;
  const choices = (all: string, values: readonly string[] = [], chosen: string) => [
    { value: "", label: all },
    ...[...new Set([...values, ...(chosen === "" ? [] : [chosen])])].map((value) => ({ value, label: value })),
  ];
  const kinds = [...new Set((facets?.actions ?? []).map((action) => action.split(".")[0] ?? action))];
  const actions = [...new Set([...kinds, ...(facets?.actions ?? []), ...(valueOf("action") === "" ? [] : [valueOf("action")])])].sort();
  const actionOptions = [
    { value: "", label: "Every action" },
    ...actions.map((value) => ({ value, label: value.includes(".") ? actionWords(value) : `all of ${value.replaceAll("_", " ")}` })),
  ];
  return (
    <div className="mb-3 grid gap-2 sm:grid-cols-2 xl:grid-cols-[10rem_12rem_minmax(8rem,1fr)_9rem_9rem_auto]">
      <SelectField label="Who" options={choices("Everybody", facets?.actors, valueOf("actor"))} value={valueOf("actor")} onValue={(value) => onValue("actor", value)} />
      <SelectField label="Action" options={actionOptions} value={valueOf("action")} onValue={(value) => onValue("action", value)} />
      <TextField label="Object" placeholder="Name or id" value={valueOf("object")} onChange={(event) => onValue("object", event.target.value)} />
      <TextField label="From" type="date" value={valueOf("since")} onChange={(event) => onValue("since", event.target.value)} />
      <TextField label="To" type="date" value={valueOf("until")} onChange={(event) => onValue("until", event.target.value)} />
      <Button variant="quiet" className="self-end" disabled={!isFiltered} onClick={onClear}>
        Clear
      </Button>
    </div>
  );
}

const columns = [
  { key: "at", label: "When" },
  { key: "who", label: "Who" },
  { key: "action", label: "Action" },
  { key: "object", label: "Object" },
  { key: "change", label: "Before and after", className: "w-full" },
];

function Entries({ query }: { readonly query: string }) {
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useAudit(query);
  if (data === undefined) {
    if (error === null) return <Skeleton className="h-96" />;
    return (
      <ReadFailed title="The audit log could not be read" error={error} onRetry={() => void refetch()} />
    );
  }
  const entries = data.pages.flatMap((page) => page.results);
  if (entries.length === 0) {
    return (
      <Notice icon={FileSearch} title="Nothing was changed that fits">
        {query === "" ? "Changes stand here from the first one on." : "Clear the filter to see everything."}
      </Notice>
    );
  }
  return (
    <>
      <Table caption="Changes" columns={columns}>
        {entries.map((entry) => (
          <Row key={entry.id} entry={entry} />
        ))}
      </Table>
      {hasNextPage ? (
        <div className="mt-3 flex justify-center">
          <Button disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            {isFetchingNextPage ? "Reading" : "Earlier ones"}
          </Button>
        </div>
      ) : null}
    </>
  );
}

const actorIcons: Readonly<Record<string, LucideIcon>> = { person: UserRound, robot: Bot };

function Row({ entry }: { readonly entry: AuditEntry }) {
  const Icon = actorIcons[entry.actor_kind] ?? Cog;
  return (
    <tr className="align-top hover:bg-raised">
      <Cell className="numeric whitespace-nowrap" title={entry.at}>
        {formatMoment(Date.parse(entry.at))}
      </Cell>
      <Cell title={entry.request_id === "" ? undefined : `Request ${entry.request_id}`}>
        <span className="flex items-center gap-1.5 whitespace-nowrap">
          <Icon aria-label={entry.actor_kind} className="size-3.5 shrink-0 text-ink-muted" />
          {entry.actor_name}
        </span>
        {entry.address === null ? null : <span className="block text-xs text-ink-muted">{entry.address}</span>}
      </Cell>
      <Cell className="whitespace-nowrap">{actionWords(entry.action)}</Cell>
      <Cell className="max-w-56 break-words" title={entry.object_id}>
        {entry.object_name || entry.object_kind}
      </Cell>
      <Cell className="min-w-64">
        <Differences entry={entry} />
      </Cell>
    </tr>
  );
}

function Differences({ entry }: { readonly entry: AuditEntry }) {
  const found = differencesOf(entry.before, entry.after);
  if (found.length === 0) return <span className="text-ink-muted">no details</span>;
  return (
    <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-3 text-xs">
      {found.map(({ field, before, after }) => (
        <div key={field} className="contents">
          <dt className="text-ink-muted">{field}</dt>
          <dd className="min-w-0 break-words">
            {before === null ? null : <del className="text-ink-muted">{before}</del>}
            {before !== null && after !== null ? <span aria-hidden> → </span> : null}
            {after === null ? null : <ins className="no-underline">{after}</ins>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
