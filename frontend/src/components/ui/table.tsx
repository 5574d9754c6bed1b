/** Tables with a caption (seen or for screen readers only) and a scroll box that the keyboard reaches. */

import { type ComponentProps, type ReactNode, useId } from "react";

import { cn } from "@/lib/class-names";

interface Column {
  readonly key: string;
  readonly label: string;
  readonly isNumeric?: boolean;
  readonly className?: string;
}

interface TableProps {
  readonly caption: string;
  readonly columns: readonly Column[];
  readonly children: ReactNode;
  readonly className?: string;
}

export function Table({ caption, columns, children, className }: TableProps) {
  const id = useId();
  return (
    // A scroll box takes focus so that arrow keys can scroll it (WCAG 2.1.1). A group and no landmark: the panel around it
    // often has the same name. Relative, so that text for screen readers alone scrolls with its cell and widens no page.
    <div role="group" aria-labelledby={id} tabIndex={0} className={cn("relative overflow-auto", className)}>
      <table className="w-full border-collapse text-sm">
        <caption id={id} className="sr-only">
          {caption}
        </caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.key}
                scope="col"
                className={cn(
                  "sticky top-0 z-10 border-b border-line bg-surface px-2.5 py-2 text-xs font-medium whitespace-nowrap text-ink-muted",
                  column.isNumeric ? "text-right" : "text-left",
                  column.className,
                )}
              >
                {column.label === "" ? <span className="sr-only">Actions</span> : column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export function Cell({ isNumeric = false, className, ...rest }: ComponentProps<"td"> & { readonly isNumeric?: boolean }) {
  return (
    <td className={cn("border-b border-line px-2.5 py-1.5", isNumeric && "numeric text-right", className)} {...rest} />
  );
}
