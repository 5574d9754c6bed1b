/** Asks once more before a token ends for good. */

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { notify } from "@/components/ui/toast";
import { type Token, useRevokeToken } from "@/features/tokens/api/tokens";

interface RevokeDialogProps {
  readonly token: Token;
  readonly onClose: () => void;
}

export function RevokeDialog({ token, onClose }: RevokeDialogProps) {
  const revoke = useRevokeToken();
  const end = () =>
    revoke.mutate(token.id, {
      onSuccess: () => {
        notify("done", `The token “${token.name}” no longer works.`);
        onClose();
      },
      onError: (error) => notify("failed", `The token was not revoked. ${error.message}`),
    });
  return (
    <Dialog title={`Revoke “${token.name}”?`} onClose={onClose}>
      <p className="text-sm">Whatever uses it is refused from now on. This cannot be undone; the token stays in the list.</p>
      <div className="mt-4 flex justify-end gap-2">
        <Button onClick={onClose}>Keep it</Button>
        <Button variant="primary" disabled={revoke.isPending} onClick={end}>
          Revoke the token
        </Button>
      </div>
    </Dialog>
  );
}
