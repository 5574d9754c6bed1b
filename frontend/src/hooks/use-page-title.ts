/** The tab's title: "Fleet · SOP", with a count before it where the user asked for one: "(3) Fleet · SOP". */

import { useEffect } from "react";

let title = "SOP";
let badge = "";

function show(): void {
  document.title = badge + title;
}

export function usePageTitle(page: string): void {
  useEffect(() => {
    title = `${page} · SOP`;
    show();
  }, [page]);
}

/** Put a count before the title while mounted; 0 puts nothing. */
export function useTitleBadge(count: number): void {
  useEffect(() => {
    badge = count > 0 ? `(${count}) ` : "";
    show();
    return () => {
      badge = "";
      show();
    };
  }, [count]);
}
