/** The newest requests, what became of them and how long it took. */

import { Panel } from "@/components/ui/card";
import { Cell, Table } from "@/components/ui/table";
import { type PastRequest, usePastRequests } from "@/features/help/api/help";
import { endingText, reasonOf } from "@/features/help/help-words";
import { formatClock, formatDuration } from "@/lib/units/format";
import { seconds } from "@/lib/units/quantity";

const columns = [
  { key: "opened", label: "Asked" },
  { key: "robot", label: "Robot" },
  { key: "reason", label: "Reason" },
  { key: "task", label: "Task" },
  { key: "waited", label: "Waited", isNumeric: true },
  { key: "service", label: "Service", isNumeric: true },
  { key: "ending", label: "Outcome" },
];

export function PastRequests() {
  const { data, error } = usePastRequests();
  const rows = data?.filter((request) => request.closed_at !== null);
  if (rows === undefined) {
    return <Panel title="Earlier requests">{error === null ? "Reading" : `Not read. ${error.message}`}</Panel>;
  }
  return (
    <Panel title="Earlier requests">
      {rows.length === 0 ? (
        <p className="text-sm text-ink-muted">None yet.</p>
      ) : (
        <Table caption="Newest 20 requests that ended" columns={columns} className="max-h-96">
          {rows.map((request) => (
            <PastRow key={request.id} request={request} />
          ))}
        </Table>
      )}
    </Panel>
  );
}

function PastRow({ request }: { readonly request: PastRequest }) {
  return (
    <tr className="hover:bg-raised">
      <Cell className="numeric whitespace-nowrap">{formatClock(Date.parse(request.opened_at))}</Cell>
      <Cell className="max-w-32 truncate">{request.robot_name}</Cell>
      <Cell className="whitespace-nowrap">{reasonOf(request.reason).text}</Cell>
      <Cell className="whitespace-nowrap">{request.task ?? "–"}</Cell>
      <Cell isNumeric>{between(request.opened_at, request.claimed_at ?? request.closed_at)}</Cell>
      <Cell isNumeric>{request.claimed_at === null ? "–" : between(request.claimed_at, request.closed_at)}</Cell>
      <Cell className="whitespace-nowrap">
        {endingText(request.ending)}
        {request.operator === "" ? null : <span className="text-ink-muted"> {request.operator}</span>}
      </Cell>
    </tr>
  );
}

const between = (start: string, end: string | null): string =>
  end === null ? "–" : formatDuration(seconds((Date.parse(end) - Date.parse(start)) / 1000));
