/** Ctrl+K or Cmd+K opens the palette, unless another dialog lies over the page. */

import { useEffect } from "react";

/** `isOn`: false where keys drive a robot. */
export function usePaletteKey(isOn: boolean, open: () => void): void {
  useEffect(() => {
    if (!isOn) return;
    const press = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
      event.preventDefault();
      if (document.querySelector("dialog[open]") === null) open();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [isOn, open]);
}
