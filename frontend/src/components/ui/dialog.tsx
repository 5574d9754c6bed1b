/** A modal dialog on the browser's own <dialog>: focus is kept inside, Escape closes, focus returns to the opener. */

import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef } from "react";

import { Button } from "@/components/ui/button";

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

/** Open while mounted: render it when it should be seen. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const id = useId();
  const ref = useRef<HTMLDialogElement>(null);
  // A text that is marked by dragging out of the dialog ends in a click on the dialog, too: only a press outside closes.
  const isPressedOutside = useRef(false);
  useEffect(() => {
    const dialog = ref.current;
    if (dialog === null || dialog.open) return;
    const opener = document.activeElement;
    dialog.showModal();
    // The browser puts the focus on the first button, which closes: whoever types at once would close it by Space.
    const atFirst = document.activeElement;
    // What takes the focus may come later, once it was read: then it has it, unless a person moved it meanwhile.
    const late = new MutationObserver(() => {
      if (document.activeElement !== atFirst || focusFirst(dialog)) late.disconnect();
    });
    if (!focusFirst(dialog)) late.observe(dialog, { childList: true, subtree: true });
    return () => {
      late.disconnect();
      // The browser gives the focus back when a dialog closes, not when it is taken away, as by "Cancel" or once saved.
      if (document.activeElement !== document.body) return;
      const isThere = opener instanceof HTMLElement && opener.isConnected && opener !== document.body;
      (isThere ? opener : document.getElementById("main"))?.focus();
    };
  }, []);
  useEffect(() => {
    // What had the focus may be gone with a part that was shown: a dialog that has none is silent to a keyboard.
    const dialog = ref.current;
    if (dialog?.open !== true || document.activeElement !== document.body) return;
    dialog.querySelector<HTMLElement>("[data-autofocus]:not(:disabled)")?.focus();
  });
  return (
    <dialog
      ref={ref}
      aria-labelledby={id}
      onClose={onClose}
      onPointerDown={(event) => {
        isPressedOutside.current = event.target === event.currentTarget;
      }}
      onClick={(event) => {
        if (event.target === event.currentTarget && isPressedOutside.current) event.currentTarget.close();
      }}
      className="m-auto max-h-[calc(100dvh-2rem)] w-[min(40rem,calc(100vw-2rem))] overflow-auto rounded-xl border border-line bg-surface p-0 text-ink shadow-overlay"
    >
      <div className="flex items-center justify-between gap-4 border-b border-line py-2.5 pr-2.5 pl-5">
        <h2 id={id} className="text-lg font-semibold">
          {title}
        </h2>
        <Button variant="icon" aria-label="Close" onClick={() => ref.current?.close()}>
          <X aria-hidden className="size-4" />
        </Button>
      </div>
      <div data-content className="p-5">
        {children}
      </div>
    </dialog>
  );
}

const FOCUSABLE = "a[href], summary, :is(button, input, select, textarea):not(:disabled)";

/** The element that is named for it, else the first that can have it: of a question the answer that changes nothing. */
function focusFirst(dialog: HTMLElement): boolean {
  const content = dialog.querySelector<HTMLElement>("[data-content]");
  const found = content?.querySelector<HTMLElement>("[data-autofocus]:not(:disabled)") ?? content?.querySelector<HTMLElement>(FOCUSABLE);
  found?.focus();
  return found !== null && found !== undefined;
}
