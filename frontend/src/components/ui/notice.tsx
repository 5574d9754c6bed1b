/** What to show instead of content: nothing there yet, nothing matches, or it could not be read. Says what to do next. */

import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";

import { cn } from "@/lib/class-names";

interface NoticeProps {
  readonly icon: LucideIcon;
  readonly title: string;
  readonly children?: ReactNode;
  readonly action?: ReactNode;
  readonly className?: string;
}

export function Notice({ icon: Icon, title, children, action, className }: NoticeProps) {
  return (
    <div className={cn("flex h-full flex-col items-center justify-center gap-2 px-6 py-8 text-center", className)}>
      <Icon aria-hidden className="size-6 text-ink-muted" strokeWidth={1.5} />
      <p className="text-base font-medium">{title}</p>
      {children ? <div className="max-w-md text-sm text-balance text-ink-muted">{children}</div> : null}
      {action ? <div className="mt-1">{action}</div> : null}
    </div>
  );
}
