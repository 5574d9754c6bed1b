/** Tokens as rows: how each begins, what it may do, when it was used, when it ends. */

import { Button } from "@/components/ui/button";
import { Cell, Table } from "@/components/ui/table";
import type { Token } from "@/features/tokens/api/tokens";
import { endOf, lastUse, timeLeft } from "@/features/tokens/token-words";
import { formatDay } from "@/lib/units/format";

const columns = [
  { key: "name", label: "Name" },
  { key: "prefix", label: "Begins with" },
  { key: "scopes", label: "Scopes" },
  { key: "used", label: "Last used" },
  { key: "ends", label: "Ends" },
  { key: "revoke", label: "" },
];

interface TokenTableProps {
  readonly caption: string;
  readonly tokens: readonly Token[];
  /** Unix milliseconds. */
  readonly now: number;
  readonly onRevoke?: (token: Token) => void;
}

export function TokenTable({ caption, tokens, now, onRevoke }: TokenTableProps) {
  const shown = onRevoke === undefined ? columns.slice(0, -1) : columns;
  return (
    <Table caption={caption} columns={shown}>
      {tokens.map((token) => (
        <tr key={token.id} className="align-baseline hover:bg-raised">
          <Cell className="max-w-56 truncate font-medium" title={token.name}>
            {token.name}
          </Cell>
          <Cell className="font-mono text-xs leading-5 whitespace-nowrap">{token.prefix}…</Cell>
          <Cell className="text-ink-muted">{token.scopes.join(", ")}</Cell>
          <Cell className="whitespace-nowrap">
            {lastUse(token, now)}
            {token.last_used_ip === null ? null : <span className="text-ink-muted"> from {token.last_used_ip}</span>}
          </Cell>
          <Cell className="whitespace-nowrap">{endText(token, now)}</Cell>
          {onRevoke === undefined ? null : (
            <Cell className="py-0.5 text-right">
              <Button variant="quiet" aria-label={`Revoke ${token.name}`} onClick={() => onRevoke(token)}>
                Revoke
              </Button>
            </Cell>
          )}
        </tr>
      ))}
    </Table>
  );
}

function endText(token: Token, now: number): string {
  const end = endOf(token, now);
  if (end === null) return timeLeft(token, now);
  return `${end} ${formatDay(Date.parse(end === "revoked" ? (token.revoked_at ?? "") : token.expires_at))}`;
}
