"""Whose versions this robot loads: the public keys it trusts, and the newest order it followed.

    <state>/trust.json      keys (hex of Ed25519), the epoch of the newest order that was followed

Keys come with the enrolment, or with the first state of a server that signs. A newer key is taken when one that is
trusted already signed it, so keys rotate without a visit to the robot; one that the server no longer names is dropped
then. Keys in the configuration (`policy.public_keys`) are pinned: they alone count. docs/rollout.md has the rules.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fleet.daemon.config import PUBLIC_KEY, ConfigError, PolicyConfig
from fleet.daemon.files import write_durably
from fleet.protocol.errors import UNPARSABLE, StaleOrder, Untrusted
from fleet.protocol.messages import PolicyKey, PolicyTarget
from fleet.protocol.policy import key_statement, policy_statement, shadow_statement

logger = logging.getLogger(__name__)

TRUST_FILE = "trust.json"
MAX_KEYS = 8


class TrustRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    keys: tuple[str, ...] = ()
    epoch: int = 0


class Trust:
    """The event loop's alone. Raises (constructor): ConfigError if the file is damaged: a robot that forgot whom it
    trusts must not trust the next best."""

    def __init__(self, state_dir: Path, config: PolicyConfig, *, robot_id: str | None) -> None:
        self._path = state_dir / TRUST_FILE
        self._config = config
        self._robot_id = robot_id or ""
        self._record = TrustRecord()
        if self._path.exists():
            try:
                self._record = msgspec.json.decode(self._path.read_bytes(), type=TrustRecord)
            except (OSError, *UNPARSABLE) as error:
                raise ConfigError(f"{self._path} is damaged ({error}); enrol the robot anew", key="") from None

    @property
    def keys(self) -> tuple[str, ...]:
        return self._config.public_keys or self._record.keys

    def learn(self, offered: tuple[PolicyKey, ...]) -> None:
        """Take in the keys that the server signs with now; the first ones as they are, later ones if endorsed."""
        if self._config.public_keys or not offered:
            return
        sound = [key for key in offered[:MAX_KEYS] if PUBLIC_KEY.fullmatch(key.public)]
        known = self._record.keys
        taken = [key.public for key in sound if not known or key.public in known or _is_endorsed(key, known)]
        if not taken:
            logger.error("the server names keys that none of the trusted ones endorses: versions of theirs are refused")
            return
        if set(taken) != set(known):
            logger.warning("trusted keys are now %s", ", ".join(key[:12] for key in taken))
            self._keep(TrustRecord(keys=tuple(taken), epoch=self._record.epoch))

    def check(self, target: PolicyTarget, *, is_shadow: bool = False) -> None:
        """Check an order to drive with a version, or with `is_shadow` one to shadow it: neither passes as the other.

        Raises: Untrusted, StaleOrder.
        """
        if not target.signature:
            is_allowed = self._config.unsigned == "always" or (self._config.unsigned != "never" and not self.keys)
            if is_allowed:
                return
            why = f"policy.unsigned is '{self._config.unsigned}'"
            raise Untrusted(f"version {target.number} is not signed and {why}; `manage.py signing_key` makes a key")
        if target.key not in self.keys:
            raise Untrusted(f"version {target.number} is signed by a key that this robot does not trust")
        state = shadow_statement if is_shadow else policy_statement
        statement = state(
            robot_id=self._robot_id,
            version_id=target.version_id,
            number=target.number,
            manifest_sha256=target.manifest_sha256,
            epoch=target.epoch,
        )
        if not _is_signed(target.key, target.signature, statement):
            raise Untrusted(f"the signature of version {target.number} is not valid")
        if target.epoch < self._record.epoch:
            text = f"order {target.epoch} is older than order {self._record.epoch}, which was followed already"
            raise StaleOrder(text)

    def followed(self, target: PolicyTarget) -> None:
        """Note that a checked order was followed."""
        if target.signature and target.epoch > self._record.epoch:
            self._keep(msgspec.structs.replace(self._record, epoch=target.epoch))

    def _keep(self, record: TrustRecord) -> None:
        self._record = record
        write_durably(self._path, msgspec.json.encode(record), mode=0o600)


def remember_keys(state_dir: Path, keys: tuple[str, ...]) -> None:
    """Keep the keys that came with the enrolment. Raises: OSError."""
    sound = tuple(key for key in keys[:MAX_KEYS] if PUBLIC_KEY.fullmatch(key))
    if sound:
        write_durably(state_dir / TRUST_FILE, msgspec.json.encode(TrustRecord(keys=sound)), mode=0o600)


def _is_endorsed(key: PolicyKey, known: tuple[str, ...]) -> bool:
    return key.endorsed_by in known and _is_signed(key.endorsed_by, key.endorsement, key_statement(key.public))


def _is_signed(public: str, signature: str, statement: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), statement)
    except (InvalidSignature, ValueError):
        return False
    return True
