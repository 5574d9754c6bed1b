/**
 * The focus follows to a page that was led to: a browser does that for documents, not for pages of one. Without it who
 * works by keyboard or screen reader is back at the top of the bar, or nowhere, after each link.
 */

import { useEffect, useRef } from "react";
import { useLocation } from "react-router";

/** `id`: of the page's element, which takes focus by tabIndex -1. What in it has the focus already keeps it. */
export function usePageFocus(id: string): void {
  const { pathname } = useLocation();
  const seen = useRef(pathname);
  useEffect(() => {
    if (seen.current === pathname) return;
    seen.current = pathname;
    const page = document.getElementById(id);
    if (page?.contains(document.activeElement) === false) page.focus({ preventScroll: true });
  }, [id, pathname]);
}
