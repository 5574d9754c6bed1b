/** Asks for an export: format, options, destination; says what it would hold and what stands in its way. */

import { CircleCheck, Loader, TriangleAlert } from "lucide-react";
import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import { Skeleton } from "@/components/ui/skeleton";
import { notify } from "@/components/ui/toast";
import {
  type ExportAsked,
  type ExportChoices,
  type ExportFormat,
  type ExportOf,
  useExportCheck,
  useExportChoices,
  useRequestExport,
} from "@/features/exports/api/exports";
import { formatBytes, formatCount, formatNoun } from "@/lib/units/format";

interface ExportDialogProps {
  readonly of: ExportOf;
  readonly onClose: () => void;
}

export function ExportDialog({ of, onClose }: ExportDialogProps) {
  const { data: choices, error } = useExportChoices();
  return (
    <Dialog title="Export" onClose={onClose}>
      {choices === undefined ? (
        <div className="h-64">
          {error === null ? <Skeleton className="h-full" /> : <p className="text-sm text-fault">Formats could not be read. {error.message}</p>}
        </div>
      ) : (
        <ExportForm of={of} choices={choices} onClose={onClose} />
      )}
    </Dialog>
  );
}

function ExportForm({ of, choices, onClose }: ExportDialogProps & { readonly choices: ExportChoices }) {
  const [format, setFormat] = useState(choices.formats[0]?.name ?? "");
  const [options, setOptions] = useState<Readonly<Record<string, number>>>({});
  const [destination, setDestination] = useState("");
  const [name, setName] = useState("");
  const chosen = choices.formats.find((each) => each.name === format);
  const isOfVersion = of.dataset_version !== undefined;
  const asked: ExportAsked = { ...of, format, options: isSound(chosen, options) ? options : {}, destination };
  const check = useExportCheck(asked);
  const start = useRequestExport();
  const isReady = check.isSuccess && !check.isPlaceholderData && check.data.problems.length === 0 && isSound(chosen, options);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    start.mutate(isOfVersion ? asked : { ...asked, name: name.trim() }, {
      onSuccess: () => {
        notify("done", "The export waits for its turn; its progress is in the list.");
        onClose();
      },
    });
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <div className="grid gap-3 sm:grid-cols-2">
        <SelectField
          label="Format"
          data-autofocus
          options={choices.formats.map((each) => ({ value: each.name, label: each.title }))}
          value={format}
          onValue={(value) => {
            setFormat(value);
            setOptions({});
          }}
        />
        <SelectField
          label="Destination"
          options={[
            { value: "", label: `Here, to download for ${formatNoun(choices.keep_days, "day")}` },
            ...choices.destinations.map((each) => ({ value: each, label: each })),
          ]}
          value={destination}
          onValue={setDestination}
        />
        {isOfVersion ? null : (
          <TextField label="Name of the dataset" placeholder="episodes" maxLength={100} value={name} onChange={(event) => setName(event.target.value)} />
        )}
      </div>
      <Options format={chosen} options={options} onOptions={setOptions} />
      <Check check={check} />
      <div className="flex items-center justify-end gap-3">
        <p role="alert" className="min-w-0 grow text-sm text-fault">
          {start.error === null ? null : `No export was begun. ${start.error.message}`}
        </p>
        <Button needs="export" type="submit" variant="primary" disabled={!isReady || start.isPending}>
          Start the export
        </Button>
      </div>
    </form>
  );
}

function isSound(format: ExportFormat | undefined, options: Readonly<Record<string, number>>): boolean {
  return (format?.options ?? []).every(({ name, default: usual, least, most }) => {
    const value = options[name] ?? usual;
    return Number.isInteger(value) && value >= least && value <= most;
  });
}

interface OptionsProps {
  readonly format: ExportFormat | undefined;
  readonly options: Readonly<Record<string, number>>;
  readonly onOptions: (options: Readonly<Record<string, number>>) => void;
}

function Options({ format, options, onOptions }: OptionsProps) {
  if (format === undefined || format.options.length === 0) return null;
  return (
    <details className="text-sm">
      <summary className="w-fit cursor-pointer rounded-md py-1 text-ink-muted hover:text-ink">Options</summary>
      <div className="mt-2 grid gap-3 sm:grid-cols-3">
        {format.options.map((option) => {
          const value = options[option.name] ?? option.default;
          const isWrong = !(Number.isInteger(value) && value >= option.least && value <= option.most);
          return (
            <div key={option.name}>
              <TextField
                label={option.unit === "" ? option.title : `${option.title}, ${option.unit}`}
                type="number"
                min={option.least}
                max={option.most}
                step={1}
                aria-invalid={isWrong}
                value={Number.isNaN(value) ? "" : value}
                onChange={(event) => onOptions({ ...options, [option.name]: event.target.valueAsNumber })}
              />
              <p className="numeric mt-0.5 text-xs text-ink-muted">
                {formatCount(option.least)} to {formatCount(option.most)}
              </p>
            </div>
          );
        })}
      </div>
    </details>
  );
}

/** What it would hold, and everything that stands in its way. Of one height while it is being read. */
function Check({ check }: { readonly check: ReturnType<typeof useExportCheck> }) {
  const { data, error, isPlaceholderData, isPending } = check;
  return (
    <section aria-label="What it would hold" aria-busy={isPending || isPlaceholderData} aria-live="polite" className="min-h-24 rounded-md border border-line bg-raised px-3 py-2.5 text-sm">
      {error !== null ? <p className="text-fault">It could not be checked. {error.message}</p> : null}
      {isPending ? (
        <p className="flex items-center gap-2 text-ink-muted">
          <Loader aria-hidden className="size-4" />
          Reading the episodes
        </p>
      ) : null}
      {data === undefined || error !== null ? null : (
        <>
          <p className="numeric">
            {data.source === "" ? "" : `${data.source}: `}
            {formatNoun(data.episodes, "episode")}, {formatNoun(data.frames, "frame")}, {formatBytes(data.size_bytes)}
          </p>
          <Problems problems={data.problems} />
          {data.checked < data.episodes ? (
            <p className="numeric mt-1 text-xs text-ink-muted">
              {formatCount(data.checked)} of {formatNoun(data.episodes, "episode")} were looked at; the export looks at all before it writes.
            </p>
          ) : null}
        </>
      )}
    </section>
  );
}

function Problems({ problems }: { readonly problems: readonly string[] }) {
  if (problems.length === 0) {
    return (
      <p className="mt-1 flex items-center gap-2 text-ink-muted">
        <CircleCheck aria-hidden className="size-4 shrink-0" />
        Nothing stands in its way.
      </p>
    );
  }
  return (
    <>
      <p className="mt-1 flex items-center gap-2 font-medium text-caution">
        <TriangleAlert aria-hidden className="size-4 shrink-0" />
        The format cannot hold them as they are:
      </p>
      <ul className="mt-1 max-h-48 list-disc space-y-1 overflow-auto pl-6">
        {problems.map((problem) => (
          <li key={problem}>{problem}</li>
        ))}
      </ul>
    </>
  );
}
