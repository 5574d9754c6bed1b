/** The way of a dataset to the server: hash, create, PUT, ask for the check. One at a time; cancelled, it leaves nothing. */

import { useEffect, useRef, useState } from "react";

import { cancelImport, checkImport, createImport, useImportsChanged } from "@/features/imports/api/imports";
import { hashFile, putFile } from "@/features/imports/api/upload";

export interface Sending {
  readonly word: string;
  readonly done: number;
  readonly total: number;
}

export type Dataset = { readonly name: string; readonly folder: string } | { readonly name: string; readonly file: File };

export function useSend(onCreated: (id: string) => void) {
  const [sending, setSending] = useState<Sending | null>(null);
  const [error, setError] = useState("");
  const abort = useRef<AbortController | null>(null);
  const changed = useImportsChanged();
  useEffect(() => () => abort.current?.abort(), []);

  const run = async (dataset: Dataset, signal: AbortSignal) => {
    let id = "";
    try {
      id = await deliver(dataset, signal, setSending, (made) => (id = made));
      onCreated(id);
    } catch (reason) {
      if (!signal.aborted) setError(reason instanceof Error ? reason.message : "The dataset could not be sent.");
      // Nobody goes on with it; what was sent of it goes too.
      if (id !== "") await cancelImport(id).catch(() => undefined);
    } finally {
      setSending(null);
      void changed();
    }
  };
  const send = (dataset: Dataset) => {
    abort.current = new AbortController();
    setError("");
    void run(dataset, abort.current.signal);
  };
  return { sending, error, send, cancel: () => abort.current?.abort() };
}

async function deliver(dataset: Dataset, signal: AbortSignal, say: (now: Sending) => void, onMade: (id: string) => void): Promise<string> {
  if ("folder" in dataset) {
    say({ word: "Asking for the check", done: 0, total: 0 });
    const { id } = await createImport(dataset);
    onMade(id);
    await checkImport(id);
    return id;
  }
  const { name, file } = dataset;
  const total = file.size;
  say({ word: "Hashing", done: 0, total });
  const sha256 = await hashFile(file, (done) => say({ word: "Hashing", done, total }), signal);
  const { id, upload } = await createImport({ name, archive: { size: total, sha256 } });
  onMade(id);
  signal.throwIfAborted();
  if (upload !== null) await putFile(upload, file, (done) => say({ word: "Sending", done, total }), signal);
  await checkImport(id);
  return id;
}
