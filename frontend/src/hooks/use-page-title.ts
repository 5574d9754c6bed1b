/** The tab's title: "Fleet · SOP". */

import { useEffect } from "react";

export function usePageTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · SOP`;
  }, [title]);
}
