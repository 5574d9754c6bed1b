"""What each kind of alert rule is asked with, and when a rule is silent. Pure: values in, values or InvalidRequest out.

A rule fires by what is sure: a rate whose whole 95 % interval lies beyond the threshold with at least `min_n` behind
it, a percentile whose interval does, or a count or a time that is simply known. It clears later than it fires (the
value itself must be back, or at `clear_at`), and only after `AlertRule.clear_after_s` without a break, so that it
does not flap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from fleet.errors import InvalidRequest
from fleet.models import AlertRule
from fleet.selectors.schedule import Window

MAX_SILENCES = 20
CLEAR_SHARE = 0.8  # of `above`: where a count or a percentile clears unless `clear_at` says otherwise
_WEEK_S = 7 * 86_400.0
_Window = Annotated[float, msgspec.Meta(ge=900, le=60 * 86_400)]  # seconds; reports count in quarters of an hour
_After = Annotated[float, msgspec.Meta(ge=30, le=_WEEK_S)]  # seconds; a robot's row is written every 10 s
_Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
_Local = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$")]
_Above = Annotated[float, msgspec.Meta(gt=0, le=1e9)]

SHARES = ("success", "unaided", "autonomous", "assisted", "human_share")
FALLING = ("success", "unaided", "autonomous", "assisted")  # these fire below the threshold, the others above


class _Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class RateParams(_Params, frozen=True, kw_only=True):
    """Of a success rate (fires below) or an intervention rate (above), of each task or version.

    `threshold`: a share in (0, 1), of `interventions` per robot-hour. `window_s`: episodes that ended in it, widened
    to quarters of an hour. `min_n`: of what the measure counts. `interval`: of success rates.
    """

    measure: Literal["success", "unaided", "autonomous", "assisted", "human_share", "interventions"] = "success"
    by: Literal["task", "version"] = "task"
    threshold: float
    window_s: _Window = 86_400.0
    min_n: _Count = 20
    interval: Literal["wilson", "jeffreys"] = "wilson"


class OfflineParams(_Params, frozen=True, kw_only=True):
    """Of each robot: not heard of for `after_s` seconds."""

    after_s: _After = 300.0


class BacklogParams(_Params, frozen=True, kw_only=True):
    """Episodes that wait on robots for their upload, of each robot or of all; clears at `clear_at` or fewer."""

    above: _Count = 20
    by: Literal["robot", "fleet"] = "robot"
    clear_at: Annotated[float, msgspec.Meta(ge=0)] | None = None


class StallParams(_Params, frozen=True, kw_only=True):
    """Of each running training run: no step for `after_s` seconds."""

    after_s: _After = 600.0


class StalenessParams(_Params, frozen=True, kw_only=True):
    """A percentile of a span of the loop report, over the episodes that ended in `window_s`.

    `above`: seconds, or gradient steps of `staleness_steps`.
    """

    span: Literal["staleness_s", "staleness_steps", "captured_to_uploaded", "episode_to_learner"] = "staleness_s"
    quantile: Literal["p50", "p90", "p99"] = "p50"
    above: _Above = 600.0
    window_s: _Window = 86_400.0
    min_n: _Count = 20
    clear_at: Annotated[float, msgspec.Meta(ge=0)] | None = None


class RefusalParams(_Params, frozen=True, kw_only=True):
    """Of each robot: more than `above` of its episodes refused for good within `window_s` seconds."""

    above: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    window_s: _Window = 86_400.0


Params = RateParams | OfflineParams | BacklogParams | StallParams | StalenessParams | RefusalParams
PARAMS: Mapping[str, type[Params]] = {
    AlertRule.Kind.RATE.value: RateParams,
    AlertRule.Kind.OFFLINE.value: OfflineParams,
    AlertRule.Kind.BACKLOG.value: BacklogParams,
    AlertRule.Kind.STALL.value: StallParams,
    AlertRule.Kind.STALENESS.value: StalenessParams,
    AlertRule.Kind.REFUSALS.value: RefusalParams,
}
# What may narrow a rule of each kind.
SCOPES: Mapping[str, frozenset[str]] = {
    "rate": frozenset({"tasks", "robots"}),
    "offline": frozenset({"robots"}),
    "backlog": frozenset({"robots"}),
    "stall": frozenset(),
    "staleness": frozenset({"tasks", "robots"}),
    "refusals": frozenset({"robots"}),
}


class Weekly(Window, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="weekly", rename={"start": "from"}):
    """Hours of some days, as of assignments: an `until` that is not after `from` lies on the next day."""


class Once(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="once", rename={"start": "from"}
):
    """From a local time until another, as "2026-12-24T18:00"."""

    start: _Local
    until: _Local

    def is_open(self, local: datetime) -> bool:
        start, until = datetime.fromisoformat(self.start), datetime.fromisoformat(self.until)
        return start <= local.replace(tzinfo=None) < until


def alert_params(kind: str, values: Any) -> Params:
    """Return a rule's parameters with their defaults. Raises: InvalidRequest that names the field."""
    if kind not in PARAMS:
        raise InvalidRequest(f"choose from {', '.join(PARAMS)}", field="kind")
    try:
        params: Params = msgspec.convert(values, type=PARAMS[kind])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"params of '{kind}': {error}", field="params") from None
    if isinstance(params, RateParams):
        _check_threshold(params)
    elif isinstance(params, BacklogParams | StalenessParams) and clear_at(params) > params.above:
        raise InvalidRequest("clear_at lies above the limit it clears", field="params.clear_at")
    return params


def _check_threshold(params: RateParams) -> None:
    if params.measure in SHARES and not 0 < params.threshold < 1:
        text = "a threshold lies between 0 and 1, both left out: of 0 or 1 no number of episodes makes sure"
        raise InvalidRequest(text, field="params.threshold")
    if not 0 < params.threshold <= 1e6:
        raise InvalidRequest("a threshold per hour lies above 0 and up to 1,000,000", field="params.threshold")
    if params.interval == "jeffreys" and params.measure not in FALLING:
        raise InvalidRequest("only success rates have Jeffreys' interval", field="params.interval")


def clear_at(params: BacklogParams | StalenessParams) -> float:
    return CLEAR_SHARE * params.above if params.clear_at is None else params.clear_at


def alert_silences(values: Sequence[Any]) -> tuple[Weekly | Once, ...]:
    """Return a rule's silences. Raises: InvalidRequest."""
    if len(values) > MAX_SILENCES:
        raise InvalidRequest(f"a rule has at most {MAX_SILENCES} silences", field="silences")
    try:
        found: tuple[Weekly | Once, ...] = msgspec.convert(list(values), type=tuple[Weekly | Once, ...])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"a silence is wrong: {error}", field="silences") from None
    for silence in found:
        _check_times(silence)
    return found


def _check_times(silence: Weekly | Once) -> None:
    try:
        silence.is_open(datetime(2026, 1, 1, tzinfo=UTC))  # reads every time that it names
    except ValueError:
        raise InvalidRequest("a silence names a day or an hour that there is not", field="silences") from None
    if isinstance(silence, Once) and silence.until <= silence.start:  # as texts of one form they sort by time
        raise InvalidRequest("a silence ends before it begins", field="silences")


def alert_zone(name: str) -> ZoneInfo:
    """Return the zone. Raises: InvalidRequest."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no key at all; a folder of the database
        raise InvalidRequest(f"there is no time zone '{name[:64]}'", field="time_zone") from None


def is_silent(rule: AlertRule, *, now: datetime) -> bool:
    """Whether nobody is told of this rule's alerts now."""
    local = now.astimezone(alert_zone(rule.time_zone))
    return any(silence.is_open(local) for silence in alert_silences(rule.silences))
