/** Who is signed in, and the way out. */

import { LogOut } from "lucide-react";

import { Button } from "@/components/ui/button";
import { notify } from "@/components/ui/toast";
import { Tooltip } from "@/components/ui/tooltip";
import { useSignOut } from "@/features/people/api/session";
import { useSession } from "@/hooks/use-session";

export function UserMenu() {
  const user = useSession().data?.user;
  const signOut = useSignOut();
  if (!user) return null;
  const leave = () => signOut.mutate(undefined, { onError: (error) => notify("failed", `Not signed out. ${error.message}`) });
  return (
    <div className="flex items-center gap-1">
      <span className="hidden max-w-32 truncate text-sm text-ink-muted sm:block">{user.username}</span>
      <Tooltip text="Sign out" side="right">
        <Button variant="icon" aria-label="Sign out" disabled={signOut.isPending} onClick={leave}>
          <LogOut aria-hidden className="size-4" />
        </Button>
      </Tooltip>
    </div>
  );
}
