/** The palette with what the app knows: its pages, and what this person may do. A button and Ctrl+K (Cmd+K) open it. */

import { Search } from "lucide-react";
import { useCallback, useMemo, useState } from "react";
import { useLocation } from "react-router";

import { actions, datasetPages, mainPages, otherPages, type PageLink, permitted, settingsPages } from "@/app/pages";
import { Button } from "@/components/ui/button";
import { Tooltip } from "@/components/ui/tooltip";
import { Palette } from "@/features/palette/components/palette";
import type { PaletteEntry } from "@/features/palette/entries";
import { usePaletteKey } from "@/features/palette/hooks/use-palette-key";
import { useSignOut } from "@/features/people/api/session";
import { useSession } from "@/hooks/use-session";
import { setTheme, useSeenTheme } from "@/hooks/use-theme";

const IS_APPLE = /Mac|iPhone|iPad/.test(navigator.userAgent);

export function CommandPalette() {
  const [isOpen, setOpen] = useState(false);
  // In the cockpit keys move a robot, and nothing may come between the hand and the hold.
  const isDriving = useLocation().pathname.startsWith("/teleop/");
  const open = useCallback(() => setOpen(true), []);
  usePaletteKey(!isDriving, open);
  const user = useSession().data?.user;
  const entries = useEntries(user?.permissions ?? []);
  if (!user || isDriving) return null;
  return (
    <>
      <Tooltip text={IS_APPLE ? "Go to or do, Cmd+K" : "Go to or do, Ctrl+K"} side="right">
        <Button variant="icon" aria-label="Go to or do" aria-keyshortcuts="Control+K Meta+K" aria-haspopup="dialog" onClick={open}>
          <Search aria-hidden className="size-4" />
        </Button>
      </Tooltip>
      {isOpen ? <Palette entries={entries} person={user.username} onClose={() => setOpen(false)} /> : null}
    </>
  );
}

function useEntries(permissions: readonly string[]): readonly PaletteEntry[] {
  const seen = useSeenTheme();
  const { mutate: signOut } = useSignOut();
  return useMemo(() => {
    const listed = (kind: string, pages: readonly PageLink[]): readonly PaletteEntry[] =>
      permitted(pages, permissions).map(({ to, label }) => ({ id: `${kind}/${to}`, label, kind, to }));
    const next = seen === "dark" ? "light" : "dark";
    return [
      ...listed("Page", [...mainPages, ...datasetPages.slice(1), ...otherPages]),
      ...listed("Action", actions),
      ...listed("Settings", settingsPages),
      { id: "do/theme", label: `Change to the ${next} theme`, kind: "Action", run: () => setTheme(next) },
      { id: "do/sign-out", label: "Sign out", kind: "Action", run: () => signOut() },
    ];
  }, [permissions, seen, signOut]);
}
