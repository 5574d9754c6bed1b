/** Words for exports: states, what went wrong and what to do about it, and the line that downloads one in a terminal. */

import { Ban, CircleCheck, CircleDashed, Hourglass, Loader, type LucideIcon, TriangleAlert } from "lucide-react";

import type { Tone } from "@/components/ui/chip";
import { downloadPath, type ExportRow } from "@/features/exports/api/exports";

interface StateWord {
  readonly text: string;
  readonly icon: LucideIcon;
  readonly tone: Tone;
}

const states: Readonly<Record<string, StateWord>> = {
  queued: { text: "Waiting", icon: Hourglass, tone: "neutral" },
  running: { text: "Under way", icon: Loader, tone: "neutral" },
  done: { text: "Done", icon: CircleCheck, tone: "neutral" },
  failed: { text: "Failed", icon: TriangleAlert, tone: "fault" },
  cancelled: { text: "Cancelled", icon: Ban, tone: "neutral" },
  expired: { text: "Expired", icon: CircleDashed, tone: "neutral" },
};

export const stateWord = ({ state, is_cancelling }: Pick<ExportRow, "state" | "is_cancelling">): StateWord =>
  is_cancelling
    ? { text: "Stopping", icon: Ban, tone: "neutral" }
    : (states[state] ?? { text: state, icon: CircleDashed, tone: "neutral" });

const advice: Readonly<Record<string, string>> = {
  disk_full: "Nothing of it is left on the disk. Make room, then retry.",
  store_unavailable: "What is finished is kept: retry goes on from there once the store answers.",
  worker_lost: "What is finished is kept: retry goes on from there. Too little memory kills workers most often.",
  object_mismatch: "The store holds other bytes than were recorded. Take the episode out, or restore it.",
  invalid_episode: "The recording contradicts itself. Take the episode out.",
  invalid_video: "A video is not what the recording says of it. Take the episode out.",
  export_refused: "The format cannot hold these episodes together. Choose fewer of them, or the raw format.",
  configuration_invalid: "Ask whoever runs this server to configure the destination again.",
  internal: "What is finished is kept. The worker's log says more.",
};

/** What to do about it, "" where the message says enough. */
export const failureAdvice = (code: string): string => advice[code] ?? "";

/** Goes on where it broke off when it is run again. */
export const curlLine = (row: Pick<ExportRow, "id" | "folder">, origin: string): string =>
  `curl -fC - -H "Authorization: Bearer $SOP_TOKEN" -o ${row.folder}.tar ${origin}${downloadPath(row.id)}`;

export const sourceName = ({ source }: Pick<ExportRow, "source">): string =>
  source.version === null ? source.name : `${source.name} v${source.version}`;
