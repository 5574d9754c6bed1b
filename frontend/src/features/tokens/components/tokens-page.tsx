/** The tokens that work, those that no longer do, and the way to a new one. */

import { KeyRound } from "lucide-react";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { type Token, type Tokens, useTokens } from "@/features/tokens/api/tokens";
import { CreateDialog } from "@/features/tokens/components/create-dialog";
import { RevokeDialog } from "@/features/tokens/components/revoke-dialog";
import { TokenTable } from "@/features/tokens/components/token-table";
import { endOf } from "@/features/tokens/token-words";
import { useServerNow } from "@/hooks/use-now";

export function TokensPage() {
  const { data, error, refetch } = useTokens();
  if (data !== undefined) return <Loaded tokens={data} />;
  if (error === null) return <Skeleton className="h-64" />;
  return (
    <Panel title="API tokens">
      <ReadFailed title="The tokens could not be read" error={error} onRetry={() => void refetch()} />
    </Panel>
  );
}

function Loaded({ tokens }: { readonly tokens: Tokens }) {
  const now = useServerNow();
  const [isCreating, setIsCreating] = useState(false);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const live = tokens.results.filter((token) => endOf(token, now) === null);
  const ended = tokens.results.filter((token) => endOf(token, now) !== null);
  const create = (
    <Button variant="primary" onClick={() => setIsCreating(true)}>
      New token
    </Button>
  );
  return (
    <div className="flex flex-col gap-4">
      <h1 className="sr-only">API tokens</h1>
      <Panel title="API tokens" actions={live.length > 0 ? create : null}>
        <p className="mb-2 max-w-prose text-sm text-ink-muted">
          A token lets a script use the REST API for you: what its scopes allow, never more than you may yourself. Treat it like your
          password.{" "}
          <a className="text-link underline" href="/api/docs">
            What the API offers
          </a>
        </p>
        {live.length === 0 ? (
          <Notice icon={KeyRound} title="You have no token that works" action={create}>
            Make one to use the command line (sop login), the Python client or your own scripts.
          </Notice>
        ) : (
          <TokenTable caption="Tokens that work" tokens={live} now={now} onRevoke={setRevoking} />
        )}
      </Panel>
      {ended.length > 0 ? (
        <Panel title="No longer working">
          <TokenTable caption="Tokens that no longer work" tokens={ended} now={now} />
        </Panel>
      ) : null}
      {isCreating ? <CreateDialog scopes={tokens.scopes} maxValidS={tokens.max_valid_s} onClose={() => setIsCreating(false)} /> : null}
      {revoking === null ? null : <RevokeDialog token={revoking} onClose={() => setRevoking(null)} />}
    </div>
  );
}
