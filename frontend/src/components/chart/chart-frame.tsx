/** What every chart has around it: title, its definition, PNG and CSV, the same numbers as a table, a line of notes. */

import { ChartLine, Download, Image as ImageIcon, Info } from "lucide-react";
import { type ReactNode, useId, useRef, useState } from "react";

import { savePng } from "@/components/chart/save-png";
import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Tabs } from "@/components/ui/tabs";
import { notify } from "@/components/ui/toast";
import { Tooltip } from "@/components/ui/tooltip";
import { saveText } from "@/lib/save-file";

export interface Definition {
  readonly term: string;
  readonly text: string;
}

interface ChartFrameProps {
  readonly title: string;
  readonly definitions: readonly Definition[];
  /** Name of the files, without an end. */
  readonly fileName: string;
  readonly csv: () => string;
  /** Nothing to draw: why, in a word or two. */
  readonly empty?: string | null;
  readonly isLoading?: boolean;
  readonly error?: Error | null;
  readonly onRetry?: () => void;
  readonly actions?: ReactNode;
  readonly note?: ReactNode;
  readonly chart: ReactNode;
  readonly table: ReactNode;
}

const forms = [
  { value: "chart", label: "Chart" },
  { value: "table", label: "Table" },
] as const;

export function ChartFrame(props: ChartFrameProps) {
  const { title, definitions, fileName, csv, empty = null, isLoading = false, error = null } = props;
  const panelId = useId();
  const [form, setForm] = useState<"chart" | "table">("chart");
  const ref = useRef<HTMLDivElement>(null);
  const isReady = !isLoading && error === null && empty === null;
  const png = () => {
    const svg = ref.current?.querySelector<SVGSVGElement>("svg[data-chart]");
    if (!svg) return;
    savePng(svg, `${fileName}.png`, title, definitions.map(({ term, text }) => `${term}: ${text}`)).then(
      () => notify("done", "The chart was saved as PNG."),
      () => notify("failed", "The chart could not be drawn as a picture."),
    );
  };
  return (
    <Panel
      title={title}
      className="min-w-0"
      actions={
        <div className="flex items-center gap-0.5">
          {props.actions}
          <Definitions title={title} definitions={definitions} />
          <Tooltip text="Save as PNG" side="right">
            <Button variant="icon" aria-label={`Save ${title} as PNG`} onClick={png} disabled={!isReady || form === "table"}>
              <ImageIcon aria-hidden className="size-4" />
            </Button>
          </Tooltip>
          <Tooltip text="Save as CSV" side="right">
            <Button
              variant="icon"
              aria-label={`Save ${title} as CSV`}
              disabled={!isReady}
              onClick={() => saveText(`${fileName}.csv`, [...definitions.map(({ term, text }) => `# ${term}: ${text}`), csv(), ""].join("\n"), "text/csv")}
            >
              <Download aria-hidden className="size-4" />
            </Button>
          </Tooltip>
          <Tabs label={`Form of ${title}`} value={form} options={forms} onValue={setForm} controls={panelId} />
        </div>
      }
    >
      <div ref={ref} id={panelId} role="tabpanel" aria-label={`${title}, ${form}`} className="min-h-64">
        {error ? (
          <ReadFailed title="The numbers could not be read" error={error} onRetry={props.onRetry} />
        ) : isLoading ? (
          <Skeleton className="h-64" />
        ) : empty !== null ? (
          <Notice icon={ChartLine} title={empty}>
            Choose a longer range or fewer filters.
          </Notice>
        ) : form === "chart" ? (
          props.chart
        ) : (
          props.table
        )}
      </div>
      {props.note ? <div className="mt-2 text-xs text-ink-muted">{props.note}</div> : null}
    </Panel>
  );
}

function Definitions({ title, definitions }: { readonly title: string; readonly definitions: readonly Definition[] }) {
  return (
    <details
      className="relative"
      onKeyDown={(event) => {
        if (event.key === "Escape") event.currentTarget.open = false;
      }}
    >
      <summary
        aria-label={`What ${title} means`}
        className="flex size-8 cursor-pointer list-none items-center justify-center rounded-md text-ink-muted hover:bg-raised hover:text-ink"
      >
        <Info aria-hidden className="size-4" />
      </summary>
      <dl className="absolute right-0 z-40 mt-1 max-h-96 w-[min(26rem,80vw)] overflow-auto rounded-md border border-line bg-raised p-3 text-xs shadow-overlay">
        {definitions.map(({ term, text }) => (
          <div key={term} className="mb-2 last:mb-0">
            <dt className="font-medium">{term}</dt>
            <dd className="text-ink-muted">{text}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
