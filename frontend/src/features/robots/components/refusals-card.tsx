/** Episodes that lie refused on a robot, with the reason. Nothing is shown while there are none. */

import { Card } from "@/components/ui/card";
import { Cell, Table } from "@/components/ui/table";
import { useRefusals } from "@/features/robots/api/robot-logs";
import { formatNoun } from "@/lib/units/format";

const columns = [
  { key: "at", label: "Refused" },
  { key: "episode", label: "Episode" },
  { key: "why", label: "Why" },
];
const stamp = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export function RefusalsCard({ id }: { readonly id: string }) {
  const { data, error } = useRefusals(id);
  if (data === undefined || data.length === 0) {
    return data === undefined && error !== null ? (
      <p role="status" className="mb-3 text-sm text-caution">
        Whether episodes were refused could not be read. {error.message}
      </p>
    ) : null;
  }
  return (
    <Card className="mb-3 overflow-hidden">
      <h2 className="px-3 pt-2 font-semibold">{formatNoun(data.length, "episode")} refused</h2>
      <p className="px-3 pb-2 text-sm text-ink-muted">
        The server did not take them, so nobody sees or trains on them. They lie on the robot in spool/refused until somebody puts them right.
      </p>
      <Table caption="Refused episodes, the newest first" columns={columns} className="max-h-[30dvh]">
        {data.map((each) => (
          <tr key={each.episode_id} className="align-baseline hover:bg-raised">
            <Cell className="numeric whitespace-nowrap text-ink-muted">{stamp.format(new Date(each.refused_at))}</Cell>
            <Cell className="font-mono text-xs">{each.episode_id}</Cell>
            <Cell className="break-words">
              <span className="font-mono text-xs">{each.code}</span> {each.message}
            </Cell>
          </tr>
        ))}
      </Table>
    </Card>
  );
}
