/** `/episodes/:id`: one episode, watched step by step, with what was done and what people say about it. */

import { FileWarning, MapPinOff } from "lucide-react";
import { useMemo } from "react";
import { Link } from "react-router";

import { Card } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { type EpisodeDetail, useEpisode } from "@/features/episodes/api/episodes";
import { Cameras } from "@/features/episodes/components/cameras";
import { EpisodeFacts, EpisodeHead } from "@/features/episodes/components/episode-head";
import { LabelPanel } from "@/features/episodes/components/label-panel";
import { SegmentList } from "@/features/episodes/components/segment-list";
import { StepCharts } from "@/features/episodes/components/step-charts";
import { Transport } from "@/features/episodes/components/transport";
import { usePlayer } from "@/features/episodes/hooks/use-player";
import { usePlayerKeys } from "@/features/episodes/hooks/use-player-keys";
import { useKeepFrameInUrl, useUrlFrame } from "@/features/episodes/hooks/use-url-frame";
import { takeoversOf } from "@/features/episodes/takeovers";
import { usePageTitle } from "@/hooks/use-page-title";
import { ProblemError } from "@/lib/api/errors";

export function EpisodePage({ id }: { readonly id: string }) {
  const { data: episode, error, refetch } = useEpisode(id);
  usePageTitle(episode === undefined ? "Episode" : `${episode.task}, episode`);
  if (episode !== undefined) return <KnownEpisode episode={episode} />;
  if (error === null) return <Skeleton className="h-[70dvh]" />;
  const isMissing = error instanceof ProblemError && error.problem.status === 404;
  return (
    <div className="grid min-h-[60dvh] place-items-center text-center">
      <h1 className="sr-only">Episode</h1>
      {isMissing ? (
        <Notice icon={MapPinOff} title="There is no such episode">
          It may not have arrived yet, or the link was mistyped.{" "}
          <Link to="/episodes" className="text-link underline underline-offset-2">
            See all episodes
          </Link>
        </Notice>
      ) : (
        <ReadFailed title="The episode could not be read" error={error} onRetry={() => void refetch()} />
      )}
    </div>
  );
}

function KnownEpisode({ episode }: { readonly episode: EpisodeDetail }) {
  const { steps, control_rate_hz: rateHz, segments, recording } = episode;
  const player = usePlayer({ steps, rateHz, first: useUrlFrame() });
  const starts = useMemo(() => takeoversOf(segments), [segments]);
  const tracks = useMemo(() => [{ label: "", segments }], [segments]);
  usePlayerKeys(player, starts, steps - 1);
  useKeepFrameInUrl(player.frame, player.isPlaying);
  return (
    <>
      <EpisodeHead episode={episode} />
      <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-[minmax(0,1fr)_24rem]">
        <div className="grid min-w-0 grid-cols-1 gap-4">
          <Card className="p-4">
            {recording === null ? (
              <Notice icon={FileWarning} title="Its recording cannot be read">
                {episode.recording_problem?.detail} <code>{episode.recording_problem?.code}</code>
              </Notice>
            ) : (
              <Cameras cameras={recording.cameras} attach={player.attach} />
            )}
            <Transport player={player} tracks={tracks} starts={starts} steps={steps} rateHz={rateHz} />
          </Card>
          <StepCharts episode={episode} frame={player.frame} seek={player.seek} />
        </div>
        <div className="grid min-w-0 grid-cols-1 gap-4">
          <LabelPanel episode={episode} />
          <SegmentList segments={segments} seek={player.seek} />
          <EpisodeFacts episode={episode} />
        </div>
      </div>
    </>
  );
}
