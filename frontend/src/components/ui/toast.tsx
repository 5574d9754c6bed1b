/** Short notices about what the user just did, read out politely. Lasting conditions belong on the page instead. */

import { CircleCheck, TriangleAlert, X } from "lucide-react";
import { create } from "zustand";

import { Button } from "@/components/ui/button";

const SHOWN_MS = 6000;
const AT_MOST = 3;

interface Toast {
  readonly id: number;
  readonly kind: "done" | "failed";
  readonly text: string;
}

interface ToastStore {
  readonly toasts: readonly Toast[];
  readonly dismiss: (id: number) => void;
}

const useToasts = create<ToastStore>()((set) => ({
  toasts: [],
  dismiss: (id) => set((state) => ({ toasts: state.toasts.filter((toast) => toast.id !== id) })),
}));

let nextId = 1;

/** Show a notice. Failures stay until they are dismissed. */
export function notify(kind: Toast["kind"], text: string): void {
  const toast: Toast = { id: nextId++, kind, text };
  useToasts.setState((state) => ({ toasts: [...state.toasts, toast].slice(-AT_MOST) }));
  if (kind === "done") setTimeout(() => useToasts.getState().dismiss(toast.id), SHOWN_MS);
}

export function Toaster() {
  const { toasts, dismiss } = useToasts();
  return (
    <div role="status" aria-live="polite" className="fixed right-4 bottom-4 z-50 flex w-80 max-w-[calc(100vw-2rem)] flex-col gap-2">
      {toasts.map((toast) => (
        <div
          key={toast.id}
          className="flex items-start gap-2.5 rounded-lg border border-line bg-raised py-1.5 pr-1.5 pl-3 text-sm shadow-overlay"
        >
          {toast.kind === "done" ? (
            <CircleCheck aria-hidden className="mt-1.5 size-4 shrink-0 text-ink-muted" />
          ) : (
            <TriangleAlert aria-hidden className="mt-1.5 size-4 shrink-0 text-caution" />
          )}
          <p className="grow py-1.5">{toast.text}</p>
          <Button variant="icon" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>
            <X aria-hidden className="size-4" />
          </Button>
        </div>
      ))}
    </div>
  );
}
