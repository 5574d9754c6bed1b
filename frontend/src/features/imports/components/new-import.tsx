/** A new import: an archive from this computer, hashed, sent and checked; or a folder of the server. */

import { type SubmitEvent, useId, useRef, useState } from "react";
import { useNavigate } from "react-router";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { TextField } from "@/components/ui/field";
import { Progress } from "@/components/ui/progress";
import { Tabs } from "@/components/ui/tabs";
import { useImportOptions } from "@/features/imports/api/imports";
import { useSend } from "@/features/imports/hooks/use-send";
import { formatSize } from "@/features/imports/import-words";

const sources = [
  { value: "archive", label: "Archive" },
  { value: "folder", label: "Folder on the server" },
] as const;
type Source = (typeof sources)[number]["value"];

export function NewImport() {
  const options = useImportOptions();
  const navigate = useNavigate();
  const panel = useId();
  const picker = useRef<HTMLInputElement>(null);
  const [source, setSource] = useState<Source>("archive");
  const [file, setFile] = useState<File | null>(null);
  const [folder, setFolder] = useState("");
  const [name, setName] = useState("");
  const { sending, error, send, cancel } = useSend((id) => void navigate(`/datasets/imports/${id}`));
  // Who may not import is told so by the server, and needs no form.
  if (options.error !== null) return null;
  const roots = options.data?.roots ?? [];
  const limit = options.data?.archive_bytes ?? Infinity;
  const isFolder = source === "folder" && roots.length > 0;
  const isTooLarge = !isFolder && file !== null && file.size > limit;
  const fallback = isFolder ? (folder.split("/").filter(Boolean).at(-1) ?? "") : (file?.name ?? "");
  const isReady = isFolder ? folder.trim() !== "" : file !== null && !isTooLarge;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const called = name.trim() === "" ? fallback : name.trim();
    if (isFolder) send({ name: called, folder: folder.trim() });
    else if (file !== null) send({ name: called, file });
  };
  return (
    <Panel
      title="New import"
      actions={roots.length > 0 ? <Tabs label="Where the dataset is" value={source} options={sources} onValue={setSource} controls={panel} /> : null}
    >
      <p className="mb-3 max-w-prose text-sm text-ink-muted">
        A LeRobot dataset (v3.0, v2.1 or v2.0). It is checked first: you see what would come in, and every problem, before anything does.
      </p>
      <form id={panel} onSubmit={submit} className="grid items-end gap-3 md:grid-cols-[minmax(0,1fr)_16rem_auto]">
        {isFolder ? (
          <TextField label="Folder" required maxLength={1000} placeholder={`${roots[0] ?? ""}/…`} value={folder} onChange={(event) => setFolder(event.target.value)} />
        ) : (
          <div>
            <span className="mb-1 block text-sm font-medium">Archive (tar, tar.gz or zip)</span>
            <input
              ref={picker}
              type="file"
              aria-label="Archive"
              accept=".tar,.gz,.tgz,.zip"
              className="sr-only"
              tabIndex={-1}
              onChange={(event) => setFile(event.target.files?.[0] ?? null)}
            />
            <div className="flex min-w-0 items-center gap-2.5">
              <Button onClick={() => picker.current?.click()} disabled={sending !== null}>
                Choose a file
              </Button>
              <span className={isTooLarge ? "truncate text-sm text-fault" : "truncate text-sm text-ink-muted"}>
                {file === null ? "none chosen" : `${file.name}, ${formatSize(file.size)}`}
                {isTooLarge ? `: more than ${formatSize(limit)}` : ""}
              </span>
            </div>
          </div>
        )}
        <TextField label="Name" maxLength={200} placeholder={fallback === "" ? "What to call it" : fallback} value={name} onChange={(event) => setName(event.target.value)} />
        <Button type="submit" variant="primary" disabled={!isReady || sending !== null}>
          {isFolder ? "Check the folder" : "Send and check"}
        </Button>
      </form>
      <div className="mt-3 min-h-6" aria-live="polite">
        {sending !== null ? (
          <div className="flex items-center gap-3 text-sm">
            <span className="numeric w-72 shrink-0">
              {sending.word}
              {sending.total > 0 ? ` ${formatSize(sending.done)} of ${formatSize(sending.total)}` : ""}
            </span>
            <div className="grow">
              <Progress label={sending.word} value={sending.done} max={sending.total} />
            </div>
            <Button variant="quiet" onClick={cancel}>
              Cancel
            </Button>
          </div>
        ) : (
          <p role="alert" className="text-sm text-fault">
            {error}
          </p>
        )}
      </div>
    </Panel>
  );
}
