/** An RTCPeerConnection whose robot is the test. Checks how it is used as a browser would. */

import type { PeerRobotMessage } from "@/features/teleop/peer-link";

export class FakeChannel {
  readonly sent: Record<string, unknown>[] = [];
  readonly label: string;
  readonly options: RTCDataChannelInit;
  readyState: RTCDataChannelState = "connecting";
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;

  constructor(label: string, options: RTCDataChannelInit) {
    this.label = label;
    this.options = options;
  }

  send(text: string): void {
    if (this.readyState !== "open") throw new Error("InvalidStateError");
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  open(): void {
    this.readyState = "open";
    this.onopen?.();
  }

  deliver(message: PeerRobotMessage | string): void {
    const data = typeof message === "string" ? message : JSON.stringify(message);
    this.onmessage?.(new MessageEvent("message", { data }));
  }
}

export class FakePeerConnection extends EventTarget {
  readonly channels: FakeChannel[] = [];
  readonly transceivers: { readonly direction: string; readonly receiver: { jitterBufferTarget: number | null; readonly track: MediaStreamTrack } }[] = [];
  connectionState: RTCPeerConnectionState = "new";
  iceGatheringState: RTCIceGatheringState = "gathering";
  localDescription: { readonly sdp: string } | null = null;
  remoteSdp: string | null = null;
  isClosed = false;
  onconnectionstatechange: (() => void) | null = null;

  createDataChannel(label: string, options: RTCDataChannelInit = {}): FakeChannel {
    const channel = new FakeChannel(label, options);
    this.channels.push(channel);
    return channel;
  }

  addTransceiver(kind: string, { direction }: { readonly direction: string }) {
    const track = { kind, id: `track-${this.transceivers.length}` } as unknown as MediaStreamTrack;
    const transceiver = { direction, receiver: { jitterBufferTarget: null, track } };
    this.transceivers.push(transceiver);
    return transceiver;
  }

  setLocalDescription(): Promise<void> {
    this.localDescription = { sdp: "offer" };
    return Promise.resolve();
  }

  setRemoteDescription({ sdp }: { readonly sdp: string }): Promise<void> {
    if (sdp.startsWith("bad")) return Promise.reject(new Error("Failed to parse SessionDescription."));
    this.remoteSdp = sdp;
    return Promise.resolve();
  }

  getStats(): Promise<Map<string, unknown>> {
    return Promise.resolve(new Map<string, unknown>());
  }

  close(): void {
    this.isClosed = true;
  }

  gathered(): void {
    this.iceGatheringState = "complete";
    this.dispatchEvent(new Event("icegatheringstatechange"));
  }

  turn(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  openAll(): void {
    this.turn("connected");
    for (const channel of this.channels) channel.open();
  }

  channel(label: string): FakeChannel {
    const found = this.channels.find((each) => each.label === label);
    if (found === undefined) throw new Error(`no channel ${label}`);
    return found;
  }
}
