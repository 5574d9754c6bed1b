/**
 * One robot in one tab: its peer, the lease, the operator's input and what is seen of it all, put together.
 *
 * The components call its methods and read `view`, a new object ten times a second and at once when something matters
 * changed. It holds no React; it starts and stops, and may start again.
 */

import type { ConsoleReply, Feedback, OrderKind } from "@/protocol/generated";
import type { ConsoleEvent } from "@/lib/socket/console-events";
import { randomId } from "@/lib/random-id";
import { type Question, RefusedError } from "@/lib/socket/requests";
import type { RobotRecord } from "@/features/teleop/api/robot";
import { axesOf } from "@/features/teleop/axes";
import { loadBindings } from "@/features/teleop/bindings";
import { DriveSender } from "@/features/teleop/drive-sender";
import { FrameLedger, type Latency } from "@/features/teleop/latency";
import { type LeaseState, LeaseKeeper } from "@/features/teleop/lease";
import { type GamepadSample, OperatorInput } from "@/features/teleop/operator-input";
import { type PeerState, RobotPeer } from "@/features/teleop/peer";
import type { PeerRobotMessage } from "@/features/teleop/peer-link";
import { type ConnectionFigures, StatsReader } from "@/features/teleop/stats";
import { noStop, stopRobot, type StopState } from "@/features/teleop/stop";
import { emptyTimeline, follow, type Timeline } from "@/features/teleop/timeline";
import { VideoWatch } from "@/features/teleop/video-watch";

const PUBLISH_MS = 100;
const STATS_MS = 1000;
const ORDER_LIMIT_MS = 15_000;

export interface CockpitView {
  readonly peer: PeerState;
  readonly lease: LeaseState;
  readonly stop: StopState;
  readonly feedback: Feedback | null;
  readonly timeline: Timeline;
  readonly latency: Latency | null;
  readonly figures: ConnectionFigures | null;
  readonly video: { readonly ageMs: number; readonly fps: number; readonly freezes: number };
  readonly input: {
    readonly axes: readonly number[];
    readonly isAtRest: boolean;
    readonly isWaiting: boolean;
    readonly because: string;
    readonly speed: number;
    readonly gamepadId: string | null;
  };
  readonly tracks: ReadonlyMap<string, MediaStreamTrack>;
  readonly mainView: string;
}

export interface SessionDeps {
  readonly ask: (question: Question, limitMs?: number) => Promise<ConsoleReply>;
  readonly onEvent: (listener: (event: ConsoleEvent) => void) => () => void;
  /** Call back whenever the live link comes back. */
  readonly onReconnect: (listener: () => void) => () => void;
  readonly serverNow: () => number;
  readonly iceServers: () => Promise<RTCIceServer[]>;
  readonly createConnection: (configuration: RTCConfiguration) => RTCPeerConnection;
  readonly gamepad: () => GamepadSample | null;
  readonly startTicking: (tick: () => void) => () => void;
  readonly now: () => number;
}

/** One gamepad moves one robot, also with two on the page. */
let gamepadOwner: symbol | null = null;

export class CockpitSession {
  readonly record: RobotRecord;
  readonly input: OperatorInput;
  readonly lease: LeaseKeeper;
  readonly #token = Symbol("pane");
  readonly #deps: SessionDeps;
  readonly #peer: RobotPeer;
  readonly #sender: DriveSender;
  readonly #ledger = new FrameLedger();
  readonly #watches = new Map<string, VideoWatch>();
  readonly #listeners = new Set<() => void>();
  #stats = new StatsReader();
  #tracks: ReadonlyMap<string, MediaStreamTrack> = new Map();
  #feedback: Feedback | null = null;
  #timeline: Timeline = emptyTimeline;
  #figures: ConnectionFigures | null = null;
  #stop: StopState = noStop;
  #wasOffline = false;
  #mainView: string;
  #view: CockpitView;

  constructor(record: RobotRecord, deps: SessionDeps) {
    const axes = axesOf(record.actionNames, record.keptAxes);
    this.record = record;
    this.#deps = deps;
    this.#mainView = record.views[0]?.name ?? "";
    this.input = new OperatorInput(axes, loadBindings(axes));
    this.lease = new LeaseKeeper({
      robotId: record.id,
      ask: (question) => deps.ask(question),
      serverNow: () => deps.serverNow(),
      onState: (state) => {
        if (state.lease === null) this.input.release("you do not drive");
        this.#publish();
      },
    });
    this.#peer = this.#createPeer(randomId());
    this.#sender = new DriveSender({
      now: deps.now,
      epoch: () => this.lease.epoch,
      read: () => this.input.read(),
      videoAgeMs: () => this.#watch(this.#mainView).ageMs(deps.now()),
      send: (text) => this.#peer.send(text),
    });
    this.#view = this.#snapshot();
  }

  /** Connect and keep going until the returned function is called. */
  start(): () => void {
    const { onEvent, onReconnect, startTicking } = this.#deps;
    const stops = [
      onEvent((event) => this.#hear(event)),
      onReconnect(() => {
        this.lease.renewNow();
        this.#peer.renew("The server is back. Connecting again.");
      }),
      startTicking(() => this.#tick()),
    ];
    const publishing = setInterval(() => this.#publish(), PUBLISH_MS);
    const looking = setInterval(() => void this.#readStats(), STATS_MS);
    this.#peer.start();
    gamepadOwner ??= this.#token;
    return () => {
      if (gamepadOwner === this.#token) gamepadOwner = null;
      for (const stop of stops) stop();
      clearInterval(publishing);
      clearInterval(looking);
      this.lease.abandon();
      this.#peer.stop();
    };
  }

  get view(): CockpitView {
    return this.#view;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The gamepad is this robot's from now on: its pane has the focus, or is the only one. */
  claimGamepad(): void {
    gamepadOwner = this.#token;
  }

  /** The network changed, or the operator pressed "Connect again". */
  redial(reason: string): void {
    this.#peer.nudge(reason);
  }

  /**
   * The fleet says whether the robot has the server. Once it has it again, offer anew although the video works: whatever
   * the server told the robot of its peers meanwhile was lost, and it hangs up on those that are not offered anew.
   */
  noteOnline(isOnline: boolean): void {
    if (isOnline && this.#wasOffline) this.#peer.renew("The robot is back. Connecting again.");
    else if (isOnline) this.#peer.nudge("The robot is online. Connecting.");
    this.#wasOffline = !isOnline;
  }

  /** Watch the frames of a view in this element until the returned function is called. */
  watchFrames(view: string, element: HTMLVideoElement): () => void {
    if (!("requestVideoFrameCallback" in element)) return () => undefined;
    const see: VideoFrameRequestCallback = (_, frame) => {
      this.#watch(view).frame(Math.min(frame.presentationTime, this.#deps.now()));
      if (view === this.#mainView) this.#ledger.seen(frame);
      handle = element.requestVideoFrameCallback(see);
    };
    let handle = element.requestVideoFrameCallback(see);
    return () => element.cancelVideoFrameCallback(handle);
  }

  /** Show the next view large. */
  swapViews(): void {
    const names = this.record.views.map(({ name }) => name);
    this.#mainView = names[(names.indexOf(this.#mainView) + 1) % Math.max(1, names.length)] ?? this.#mainView;
    this.#publish();
  }

  /** Stop the robot, lease or not. Never rejects; `view.stop` says what became of it. */
  async stop(reason: string): Promise<void> {
    this.input.release("the robot was stopped");
    await stopRobot(
      {
        robotId: this.record.id,
        ask: (question) => this.#deps.ask(question),
        stopPeer: (message) => this.#peer.stopRobot(message),
        onState: (state) => {
          this.#stop = state;
          this.#publish();
        },
      },
      reason,
    );
  }

  /** Clear this stop. Rejects with RefusedError, also while something is held. */
  async clearStop(stopId: string): Promise<void> {
    if (!this.input.isAtRest) throw new RefusedError("not_neutral", "Let go of keys, pads and sticks first.");
    await this.#deps.ask({ type: "clear", robot_id: this.record.id, stop_id: stopId });
    this.#stop = noStop;
    this.#publish();
  }

  /** Order what shall become of the episode. Settles when the robot has answered; rejects with RefusedError. */
  async order(kind: OrderKind, reason: string): Promise<void> {
    const { epoch } = this.lease;
    const episodeId = this.#feedback?.episode_id ?? null;
    if (epoch === null) throw new RefusedError("no_lease", "Only who drives may do this.");
    if (episodeId === null) throw new RefusedError("no_episode", "No episode is under way.");
    await this.#deps.ask({ type: "order", robot_id: this.record.id, epoch, kind, episode_id: episodeId, reason }, ORDER_LIMIT_MS);
  }

  #createPeer(peerId: string): RobotPeer {
    const { record } = this;
    const views = record.views.map(({ name }) => name);
    return new RobotPeer({
      peerId,
      views,
      createConnection: (configuration) => this.#deps.createConnection(configuration),
      iceServers: () => this.#deps.iceServers(),
      sendOffer: (sdp) => this.#deps.ask({ type: "peer_offer", robot_id: record.id, peer_id: peerId, views, sdp }),
      sendClose: () => {
        // If the link is down, the server closes the peers of a console that is gone.
        this.#deps.ask({ type: "peer_close", robot_id: record.id, peer_id: peerId }).catch(() => undefined);
      },
      now: () => this.#deps.now(),
      random: Math.random,
      onState: () => this.#publish(),
      onMessage: (message) => this.#receive(message),
      onTrack: (view, track) => {
        this.#tracks = new Map(this.#tracks).set(view, track);
        this.#stats = new StatsReader();
        this.#publish();
      },
    });
  }

  #tick(): void {
    this.input.sample(gamepadOwner === this.#token ? this.#deps.gamepad() : null);
    this.#sender.tick();
  }

  #hear(event: ConsoleEvent): void {
    if (event.type === "peer_answer") this.#peer.answer(event);
    else this.lease.hear(event);
  }

  #receive(message: PeerRobotMessage): void {
    if (message.type === "frame_times") {
      if (message.view === this.#mainView) this.#ledger.sent(message);
    } else if (message.type === "feedback") this.#follow(message);
  }

  #follow(feedback: Feedback): void {
    const before = this.#feedback;
    // The channel is unordered; a step far back is a robot that started again.
    if (before !== null && feedback.step_ms < before.step_ms && before.step_ms - feedback.step_ms < 5000) return;
    this.#feedback = feedback;
    this.#ledger.offsetMs = feedback.offset_ms;
    this.#timeline = follow(this.#timeline, feedback);
    if (before?.stop && !feedback.stop) this.#stop = noStop; // whoever cleared it
    const isOurs = feedback.is_driver && feedback.is_armed;
    if (!isOurs) this.input.adopt(feedback.applied);
    const wasOurs = before?.is_driver === true && before.is_armed && before.epoch === feedback.epoch;
    if (wasOurs && !isOurs) this.input.release("the robot stood still meanwhile");
    if (before?.mode !== feedback.mode || before.stop?.stop_id !== feedback.stop?.stop_id) this.#publish();
  }

  async #readStats(): Promise<void> {
    const connection = this.#peer.link?.connection;
    if (connection === undefined) return;
    const reports = await connection.getStats().catch(() => null); // closed meanwhile
    if (reports === null) return;
    const all: Record<string, unknown>[] = [];
    reports.forEach((report: Record<string, unknown>) => all.push(report));
    this.#figures = this.#stats.read(all, this.#deps.now());
  }

  #watch(view: string): VideoWatch {
    const known = this.#watches.get(view);
    if (known !== undefined) return known;
    const made = new VideoWatch();
    this.#watches.set(view, made);
    return made;
  }

  #publish(): void {
    this.#view = this.#snapshot();
    for (const listener of this.#listeners) listener();
  }

  #snapshot(): CockpitView {
    const now = this.#deps.now();
    const watch = this.#watch(this.#mainView);
    const axes = this.input.read();
    return {
      peer: this.#peer.state,
      lease: this.lease.state,
      stop: this.#stop,
      feedback: this.#feedback,
      timeline: this.#timeline,
      latency: this.#ledger.latency(),
      figures: this.#figures,
      video: { ageMs: watch.ageMs(now), fps: watch.fps(now), freezes: watch.freezes(now) },
      input: {
        axes,
        isAtRest: this.input.isAtRest,
        isWaiting: this.input.held.isWaiting,
        because: this.input.held.because,
        speed: this.input.speed,
        gamepadId: this.input.gamepadId,
      },
      tracks: this.#tracks,
      mainView: this.#mainView,
    };
  }
}
