/** Short notices about what the user just did, read out politely. Lasting conditions belong on the page instead. */

import { CircleCheck, TriangleAlert, X } from "lucide-react";
import { create } from "zustand";

import { Button } from "@/components/ui/button";

const SHOWN_MS = 6000;
const SHOWN_WITH_ACTION_MS = 15_000;
const AT_MOST = 3;

interface ToastAction {
  readonly label: string;
  readonly run: () => void;
}

interface Toast {
  readonly id: number;
  readonly kind: "done" | "failed";
  readonly text: string;
  readonly action: ToastAction | undefined;
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

/** Show a notice, maybe with something to do about it. Failures stay until they are dismissed. */
export function notify(kind: Toast["kind"], text: string, action?: ToastAction): void {
  const toast: Toast = { id: nextId++, kind, text, action };
  useToasts.setState((state) => ({ toasts: [...state.toasts, toast].slice(-AT_MOST) }));
  const shownMs = action === undefined ? SHOWN_MS : SHOWN_WITH_ACTION_MS;
  if (kind === "done") setTimeout(() => useToasts.getState().dismiss(toast.id), shownMs);
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
          {toast.action === undefined ? null : <ActionButton action={toast.action} onDone={() => dismiss(toast.id)} />}
          <Button variant="icon" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>
            <X aria-hidden className="size-4" />
          </Button>
        </div>
      ))}
    </div>
  );
}

function ActionButton({ action, onDone }: { readonly action: ToastAction; readonly onDone: () => void }) {
  const act = () => {
    onDone();
    action.run();
  };
  return (
    <Button variant="quiet" className="font-medium text-link" onClick={act}>
      {action.label}
    </Button>
  );
}
