/** Every camera's video at the same frame. */

import { useCallback, useState } from "react";

import type { Camera } from "@/features/episodes/api/episodes";
import type { Player } from "@/features/episodes/hooks/use-player";

interface CamerasProps {
  readonly cameras: readonly Camera[];
  readonly attach: Player["attach"];
}

export function Cameras({ cameras, attach }: CamerasProps) {
  return (
    <div className="grid grid-cols-1 gap-3 sm:grid-cols-[repeat(auto-fit,minmax(16rem,1fr))]">
      {cameras.map((camera) => (
        <CameraVideo key={camera.name} camera={camera} attach={attach} />
      ))}
    </div>
  );
}

function CameraVideo({ camera: { name, width, height, url }, attach }: { readonly camera: Camera; readonly attach: Player["attach"] }) {
  const [isBroken, setBroken] = useState(false);
  // The same function at every render: attaching anew would set the playhead while it runs.
  const ref = useCallback((video: HTMLVideoElement | null) => attach(name, video), [attach, name]);
  return (
    <figure className="min-w-0">
      <div className="grid max-h-[45dvh] place-items-center overflow-hidden rounded-md bg-inset">
        {isBroken ? (
          <p role="alert" className="p-8 text-sm text-ink-muted">
            This video cannot be played.
          </p>
        ) : (
          <video
            ref={ref}
            src={url}
            width={width}
            height={height}
            muted
            playsInline
            preload="auto"
            aria-label={`Camera ${name}`}
            onError={() => setBroken(true)}
            className="h-[45dvh] w-full object-contain"
          />
        )}
      </div>
      <figcaption className="label mt-1">{name}</figcaption>
    </figure>
  );
}
