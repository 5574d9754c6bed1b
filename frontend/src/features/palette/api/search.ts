/**
 * What the server adds to the palette: tasks and versions once it opens (the newest 200), datasets by what is typed,
 * an episode by its id. Every list is bounded, and nothing is asked until typing rests.
 */

import { useQuery } from "@tanstack/react-query";

import type { PaletteEntry } from "@/features/palette/entries";
import { request } from "@/lib/api/client";
import { type Decoder, list, number, record, text } from "@/lib/api/decode";

const STALE_MS = 60_000;
const LEAST_LETTERS = 2;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const tasks = record({ results: list(record({ id: text, slug: text, instruction: text })) });
const versions = record({ results: list(record({ id: text, number })) });
const datasets = record({ results: list(record({ id: text, name: text })) });
const episode = record({ id: text, task: text });

function useRead<T>(path: string | null, decoder: Decoder<T>) {
  return useQuery({
    queryKey: ["palette", path],
    queryFn: ({ signal }) => request(path ?? "", decoder, { signal }),
    enabled: path !== null,
    staleTime: STALE_MS,
    retry: false,
  });
}

export interface Found {
  readonly entries: readonly PaletteEntry[];
  readonly isBusy: boolean;
  /** In words, "" while all could be read. */
  readonly problem: string;
}

/** `settled`: what was typed, once typing rested. */
export function useFound(settled: string): Found {
  const typed = settled.trim();
  const isId = UUID.test(typed);
  const asksDatasets = !isId && typed.length >= LEAST_LETTERS;
  const reads = {
    tasks: useRead("/api/v1/tasks?page_size=200&fields=id,slug,instruction", tasks),
    versions: useRead("/api/v1/policy-versions?page_size=200&fields=id,number", versions),
    datasets: useRead(asksDatasets ? `/api/v1/datasets?page_size=10&text=${encodeURIComponent(typed.slice(0, 100))}` : null, datasets),
    episode: useRead(isId ? `/api/v1/episodes/${typed.toLowerCase()}` : null, episode),
  };
  const entries: PaletteEntry[] = [
    ...(reads.tasks.data?.results ?? []).map(({ id, slug, instruction }) => ({
      id: `task/${id}`,
      label: slug,
      kind: "Task",
      words: instruction,
      to: `/reports?view=versions&task=${encodeURIComponent(slug)}`,
    })),
    ...(reads.versions.data?.results ?? []).map(({ id, number: of }) => ({
      id: `version/${id}`,
      label: `v${of}`,
      kind: "Version",
      words: `version ${of}`,
      to: `/versions/${id}`,
    })),
    ...(reads.datasets.data?.results ?? []).map(({ id, name }) => ({ id: `dataset/${id}`, label: name, kind: "Dataset", to: `/datasets/${id}` })),
  ];
  const found = reads.episode.data;
  if (isId && found !== undefined) {
    entries.unshift({ id: `episode/${found.id}`, label: `${found.id}, ${found.task}`, kind: "Episode", to: `/episodes/${found.id}` });
  }
  const failed = [reads.tasks, reads.versions, reads.datasets].find(({ error }) => error !== null)?.error;
  return {
    entries,
    isBusy: Object.values(reads).some(({ isFetching }) => isFetching),
    problem: failed ? `Not everything could be read. ${failed.message}` : "",
  };
}
