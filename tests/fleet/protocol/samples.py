"""One sample of every message, shared by the golden files and the round-trip tests."""

from fleet.protocol.authority import Mode, Source
from fleet.protocol.messages import (
    AssignedTask,
    CameraInfo,
    ConsolePing,
    ConsoleSnapshot,
    ControlStats,
    DesiredState,
    DriverInfo,
    EpisodeReady,
    EpisodeRefused,
    EpisodeRegistered,
    Fault,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Hello,
    LeaseInfo,
    LeaseRelease,
    LeaseRenew,
    LeaseReply,
    LeaseRequest,
    MetricsChanged,
    PolicyApplied,
    PolicyRefused,
    PolicyTarget,
    Resync,
    RobotCard,
    RobotRemoved,
    RobotsChanged,
    RobotStatus,
    RunCard,
    RunChanged,
    RunRow,
    RunRows,
    SpoolStats,
    StateChanged,
    Thumbnail,
    UploadGrant,
    UploadRequest,
    UploadTarget,
    WatchRun,
    Welcome,
)
from fleet.protocol.recording import (
    CameraRecord,
    EpisodeManifest,
    ObjectRecord,
    Origin,
    Outcome,
    Segment,
)

EPISODE_ID = "0b8f2f6e-6a53-4d0e-9f43-2f6d0c1c7a11"
ROBOT_ID = "7c1f3c1e-44f0-4a39-8e8c-6f0b9a3f0d01"
TASK_ID = "9e3b6a2c-1f9b-4b11-a7a5-6c2f0e7d2b02"
RUN_ID = "c4d1e8f2-0b7a-4e65-9a3d-5f1b2c3d4e05"
VERSION_ID = "51b0e2de-7f0c-4a6b-8a5e-2c4d6e8f0a03"
NOW_NS = 1_795_000_000_000_000_000

OBJECTS = (
    ObjectRecord(name="steps.parquet", size=1234, sha256="a" * 64),
    ObjectRecord(name="front.mp4", size=5678, sha256="b" * 64),
)

MANIFEST = EpisodeManifest(
    episode_id=EPISODE_ID,
    origin=Origin.ONLINE,
    robot_id=ROBOT_ID,
    robot_name="arm-1",
    task_id=TASK_ID,
    task_slug="shelf-place",
    instruction="put the block on the shelf",
    policy_version_id=VERSION_ID,
    outcome=Outcome.SUCCESS,
    seed=7,
    steps=5,
    human_steps=2,
    control_rate_hz=10.0,
    started_ns=NOW_NS,
    ended_ns=NOW_NS + 500_000_000,
    driver="metaworld",
    action_names=("dx", "dy", "dz", "gripper"),
    proprio_names=("x", "y", "z"),
    cameras=(CameraRecord(name="front", object="front.mp4", width=128, height=128),),
    segments=(
        Segment(start=0, end=2, mode=Mode.AUTONOMOUS, source=Source.POLICY),
        Segment(start=2, end=3, mode=Mode.HANDOVER, source=Source.SCRIPTED, lease_epoch=1),
        Segment(
            start=3,
            end=5,
            mode=Mode.TELEOP,
            source=Source.SCRIPTED,
            lease_epoch=1,
            operator="scripted",
            reason="no progress",
        ),
    ),
    objects=OBJECTS,
    software={"daemon": "0.1.0"},
)

STATUS = RobotStatus(
    mode=Mode.AUTONOMOUS,
    activity="running",
    task_id=TASK_ID,
    episode_id=EPISODE_ID,
    step=12,
    max_steps=250,
    policy_version_id=VERSION_ID,
    state_revision=4,
    episodes_closed=9,
    control=ControlStats(rate_hz=10.0, overruns=1, worst_period_ms=131.5),
    spool=SpoolStats(pending_episodes=2, pending_bytes=4096, capacity_bytes=1_000_000),
)

LEASE = LeaseInfo(epoch=3, source=Source.SCRIPTED, operator="scripted", expires_ns=NOW_NS)

STATE = DesiredState(
    revision=4,
    robot_id=ROBOT_ID,
    robot_name="arm-1",
    is_paused=False,
    assignments=(
        AssignedTask(
            task_id=TASK_ID,
            slug="shelf-place",
            instruction="put the block on the shelf",
            driver_task="shelf-place",
            max_steps=250,
            weight=1.0,
        ),
    ),
    policy=PolicyTarget(
        version_id=VERSION_ID,
        number=3,
        manifest_url="/objects/policies/manifests/x.json",
        manifest_sha256="c" * 64,
        blob_urls={"d" * 64: "/objects/policies/blobs/d.safetensors"},
        published_ns=NOW_NS,
    ),
    lease=LEASE,
)

CARD = RobotCard(
    robot_id=ROBOT_ID,
    name="arm-1",
    is_online=True,
    is_paused=False,
    mode=Mode.AUTONOMOUS,
    activity="running",
    detail="",
    source=Source.POLICY,
    operator="",
    task="shelf-place",
    instruction="put the block on the shelf",
    episode_id=EPISODE_ID,
    step=12,
    max_steps=250,
    policy_number=3,
    versions_behind=1,
    seconds_behind=12.5,
    last_seen_ms=1_795_000_000_000,
    thumbnail_ms=None,
    pending_episodes=0,
    episodes_closed=9,
    control_rate_hz=10.0,
    overruns=1,
)

RUN = RunCard(
    run_id=VERSION_ID,
    name="demo",
    algorithm="hg_dagger",
    state="running",
    step=500,
    steps_per_s=21.5,
    newest_version=4,
    online_episodes=31,
    online_frames=4200,
    human_frames=1800,
    updated_ms=1_795_000_000_000,
)

ROBOT_MESSAGES = (
    Hello(
        protocol=1,
        daemon_version="0.1.0",
        boot_id="boot",
        clock_ns=NOW_NS,
        driver=DriverInfo(
            name="metaworld",
            version="3.1.1",
            control_rate_hz=10.0,
            action_names=("dx", "dy", "dz", "gripper"),
            proprio_names=("x", "y", "z"),
            cameras=(CameraInfo(name="front", width=128, height=128),),
            tasks=("shelf-place",),
        ),
        architectures=("small_vla",),
        capabilities=("supervisor",),
        policy_version_id=None,
    ),
    Heartbeat(clock_ns=NOW_NS, status=STATUS),
    Thumbnail(camera="front", captured_ns=NOW_NS, jpeg=b"\xff\xd8"),
    UploadRequest(episode_id=EPISODE_ID, objects=OBJECTS),
    EpisodeReady(episode_id=EPISODE_ID, uploaded_ns=NOW_NS, manifest=MANIFEST),
    PolicyApplied(version_id=VERSION_ID, fetched_ns=NOW_NS, applied_ns=NOW_NS, fetched_bytes=512),
    PolicyRefused(version_id=VERSION_ID, code="artifact_mismatch", message="hash differs"),
    LeaseRequest(request_id="r1", reason="no progress"),
    LeaseRenew(epoch=3),
    LeaseRelease(epoch=3, reason="finished"),
    Resync(last_seq=5),
    Goodbye(reason="shutting down"),
)

SERVER_MESSAGES = (
    Welcome(protocol=1, session_id="s", heartbeat_s=2.0, clock_ns=NOW_NS, state=STATE),
    HeartbeatAck(clock_ns=NOW_NS, server_clock_ns=NOW_NS + 1),
    StateChanged(state=STATE),
    UploadGrant(
        episode_id=EPISODE_ID,
        targets=(UploadTarget(name="steps.parquet", url="/objects/x", headers={}, is_stored=False),),
    ),
    EpisodeRegistered(episode_id=EPISODE_ID, indexed_ns=NOW_NS),
    EpisodeRefused(episode_id=EPISODE_ID, code="invalid_episode", message="NaN", is_final=True),
    LeaseReply(request_id="r1", lease=LEASE),
    Fault(code="malformed_frame", message="does not parse", is_fatal=True),
)

CONSOLE_SERVER_MESSAGES = (
    ConsoleSnapshot(protocol=1, server_ms=1, robots=(CARD,), run=RUN),
    RobotsChanged(server_ms=2, robots=(CARD,)),
    RobotRemoved(robot_id=ROBOT_ID),
    RunChanged(server_ms=3, run=None),
    MetricsChanged(server_ms=4),
    RunRows(server_ms=5, run_id=RUN_ID, after_step=100, rows=(RunRow(step=200, at_ms=4, values={"loss": 0.25}),)),
)

CONSOLE_CLIENT_MESSAGES = (ConsolePing(clock_ms=1), Resync(last_seq=2), WatchRun(run_id=RUN_ID))
