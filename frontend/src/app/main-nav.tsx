/** The main navigation: a bar, or on a phone a button that folds it out. */

import { Menu, X } from "lucide-react";
import { type ReactNode, useId, useState } from "react";
import { NavLink, useLocation } from "react-router";

import { mainPages } from "@/app/pages";
import { Button } from "@/components/ui/button";
import { cn } from "@/lib/class-names";

/** `badges`: what stands behind a page's name, by its path. */
export function MainNav({ badges }: { readonly badges: Readonly<Record<string, ReactNode>> }) {
  const id = useId();
  const { pathname } = useLocation();
  // Open on the page where it was opened, so that leading elsewhere folds it in.
  const [openOn, setOpenOn] = useState<string | null>(null);
  const isOpen = openOn === pathname;
  const fold = () => setOpenOn(null);
  return (
    <>
      <Button
        variant="icon"
        className="md:hidden"
        aria-label={isOpen ? "Fold the navigation in" : "Navigation"}
        aria-expanded={isOpen}
        aria-controls={id}
        onClick={() => setOpenOn(isOpen ? null : pathname)}
      >
        {isOpen ? <X aria-hidden className="size-4" /> : <Menu aria-hidden className="size-4" />}
      </Button>
      <nav
        id={id}
        aria-label="Main"
        onKeyDown={(event) => {
          if (event.key === "Escape") fold();
        }}
        className={cn(
          // Relative, so that what badges say to screen readers alone scrolls with them and widens no page.
          "md:relative md:inset-auto md:flex md:min-w-0 md:grow md:flex-row md:gap-1 md:overflow-x-auto md:border-0 md:bg-transparent md:p-0 md:pl-3 md:shadow-none",
          isOpen ? "absolute inset-x-0 top-12 flex flex-col border-b border-line bg-surface p-2 shadow-overlay" : "hidden",
        )}
      >
        {mainPages.map(({ to, label }) => (
          <NavLink
            key={to}
            to={to}
            end={to === "/"}
            onClick={fold}
            className={({ isActive }) =>
              cn(
                "-outline-offset-2 flex h-11 items-center px-2.5 text-sm whitespace-nowrap md:h-12 md:border-y-2 md:border-transparent",
                isActive ? "font-medium max-md:rounded-md max-md:bg-inset md:border-b-ink" : "text-ink-muted hover:text-ink",
              )
            }
          >
            {label}
            {badges[to] === undefined ? null : <> {badges[to]}</>}
          </NavLink>
        ))}
      </nav>
      <div className="grow md:hidden" />
    </>
  );
}
