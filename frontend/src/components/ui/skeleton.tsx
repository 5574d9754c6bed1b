/** A grey block where content will be, of the same size, so that nothing jumps when it comes. */

import { cn } from "@/lib/class-names";

export function Skeleton({ className }: { readonly className?: string }) {
  return <div aria-hidden className={cn("animate-pulse rounded-md bg-line/60", className)} />;
}
