/**
 * One peer connection with its two channels, from offer to end. RobotPeer (peer.ts) makes a new one for every offer.
 *
 * "drive" loses what is late instead of sending it again; "control" repeats until it arrived. Whatever the browser says
 * of the connection's state is only a hint: a robot that is heard is there, one that is silent is not.
 */

import type { ClockEcho, ClockProbe, Feedback, FrameTimes, PeerStop } from "@/protocol/generated";

export type PeerRobotMessage = ClockProbe | FrameTimes | Feedback;

const GATHER_LIMIT_MS = 1500;
/** What may wait in the channel before a command is dropped instead: a few commands. */
const BUFFER_LIMIT_BYTES = 2048;
const JITTER_BUFFER_MS = 0;

export interface PeerLinkEvents {
  readonly now: () => number;
  readonly onMessage: (message: PeerRobotMessage) => void;
  readonly onTrack: (view: string, track: MediaStreamTrack) => void;
  /** Both channels are open. */
  readonly onOpen: () => void;
  /** The browser's own word that this connection is gone, or may be. */
  readonly onTrouble: (isSure: boolean) => void;
}

export class PeerLink {
  readonly connection: RTCPeerConnection;
  readonly #drive: RTCDataChannel;
  readonly #control: RTCDataChannel;
  readonly #events: PeerLinkEvents;
  #isClosed = false;
  heardMs: number;

  constructor(connection: RTCPeerConnection, views: readonly string[], events: PeerLinkEvents) {
    this.connection = connection;
    this.#events = events;
    this.heardMs = events.now();
    this.#drive = connection.createDataChannel("drive", { ordered: false, maxRetransmits: 0 });
    this.#control = connection.createDataChannel("control");
    for (const channel of [this.#drive, this.#control]) this.#attend(channel);
    for (const view of views) {
      const { receiver } = connection.addTransceiver("video", { direction: "recvonly" });
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = JITTER_BUFFER_MS;
      events.onTrack(view, receiver.track);
    }
    connection.onconnectionstatechange = () => {
      const state = connection.connectionState;
      if (!this.#isClosed && (state === "failed" || state === "closed")) events.onTrouble(true);
      else if (!this.#isClosed && state === "disconnected") events.onTrouble(false);
    };
  }

  get isOpen(): boolean {
    return !this.#isClosed && this.#drive.readyState === "open" && this.#control.readyState === "open";
  }

  /** Return the offer with its candidates, after at most 1.5 s of gathering. */
  async offer(): Promise<string> {
    await this.connection.setLocalDescription();
    await gathered(this.connection);
    return this.connection.localDescription?.sdp ?? "";
  }

  async accept(sdp: string): Promise<void> {
    await this.connection.setRemoteDescription({ type: "answer", sdp });
  }

  /** On the lossy channel; false if it is not open or lags behind. */
  send(text: string): boolean {
    if (this.#drive.readyState !== "open" || this.#drive.bufferedAmount > BUFFER_LIMIT_BYTES) return false;
    this.#drive.send(text);
    return true;
  }

  /** On both channels. Whether at least one took it. */
  stop(message: PeerStop): boolean {
    const text = JSON.stringify(message);
    const open = [this.#drive, this.#control].filter((channel) => channel.readyState === "open");
    for (const channel of open) channel.send(text);
    return open.length > 0;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.connection.close();
  }

  #attend(channel: RTCDataChannel): void {
    channel.onopen = () => {
      if (this.isOpen) this.#events.onOpen();
    };
    channel.onclose = () => {
      if (!this.#isClosed) this.#events.onTrouble(true);
    };
    channel.onmessage = (event: MessageEvent) => this.#receive(event.data, channel);
  }

  #receive(data: unknown, channel: RTCDataChannel): void {
    const message = parse(data);
    if (message === null || this.#isClosed) return;
    const now = this.#events.now();
    this.heardMs = now;
    if (message.type === "clock_probe") {
      const echo: ClockEcho = { type: "clock_echo", probe: message.probe, clock_ms: now };
      if (channel.readyState === "open") channel.send(JSON.stringify(echo));
    }
    this.#events.onMessage(message);
  }
}

async function gathered(connection: RTCPeerConnection): Promise<void> {
  if (connection.iceGatheringState === "complete") return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, GATHER_LIMIT_MS);
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

const KNOWN = new Set(["clock_probe", "frame_times", "feedback"]);

/** The envelope only: robot and console are generated from one source. Others are ignored. */
function parse(data: unknown): PeerRobotMessage | null {
  if (typeof data !== "string") return null;
  try {
    const message: unknown = JSON.parse(data);
    const isKnown = typeof message === "object" && message !== null && "type" in message && KNOWN.has(String(message.type));
    return isKnown ? (message as PeerRobotMessage) : null;
  } catch {
    return null;
  }
}
