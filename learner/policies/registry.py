"""Architecture name -> network. Imported by robots (`load_policy`) and by the trainer (`build_network`).

An architecture is a module of `learner.policies.architectures` with `ARCHITECTURE: str` and
`build(config: dict, shapes: PolicyShapes) -> PolicyNetwork`; nothing else has to be edited to add one. One that needs
a package that not every environment has also has `find_missing() -> PolicyError | None`, and imports it in `build`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import msgspec

from fleet.protocol.errors import ArtifactMismatch, PolicyError, UnknownArchitecture
from fleet.protocol.policy import Policy, PolicyManifest
from learner.policies import architectures as package
from learner.policies.base import BACKBONE, HEAD, NetworkPolicy, PolicyNetwork, PolicyShapes
from learner.policies.blobs import read_blob


@functools.cache
def _modules() -> dict[str, ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return {module.ARCHITECTURE: module for module in modules}


def architectures() -> tuple[str, ...]:
    """Return the names of the architectures that this process can build."""
    return tuple(name for name, module in _modules().items() if _missing_of(module) is None)


def require_architecture(name: str) -> None:
    """Raises: UnknownArchitecture; what `find_missing` of the architecture gives."""
    module = _modules().get(name)
    if module is None:
        raise UnknownArchitecture(f"architecture '{name}' is unknown here", known=list(architectures()))
    missing = _missing_of(module)
    if missing is not None:
        raise missing


def _missing_of(module: ModuleType) -> PolicyError | None:
    find_missing: Callable[[], PolicyError | None] | None = getattr(module, "find_missing", None)
    return find_missing() if find_missing is not None else None


def build_network(architecture: str, config: dict[str, Any], shapes: PolicyShapes) -> PolicyNetwork:
    """Build a network with unset weights.

    Raises: as `require_architecture`; ArtifactMismatch if the architecture refuses the config.
    """
    require_architecture(architecture)
    try:
        return cast(PolicyNetwork, _modules()[architecture].build(config, shapes))
    except (msgspec.ValidationError, ValueError) as error:
        raise ArtifactMismatch(f"config of architecture '{architecture}': {error}") from None


def load_network(manifest: PolicyManifest, blobs: dict[str, Path]) -> PolicyNetwork:
    """Build the manifest's network on the CPU and fill it from its blobs, given by SHA-256.

    Raises: as `require_architecture`; ArtifactMismatch if a blob is missing or differs from manifest or network.
    """
    shapes = PolicyShapes(
        cameras=manifest.cameras,
        proprio_dim=manifest.proprio_dim,
        action_dim=manifest.action_dim,
        horizon=manifest.horizon,
    )
    network = build_network(manifest.architecture, manifest.config, shapes)
    refs = {ref.name: ref for ref in manifest.blobs}
    if set(refs) != {BACKBONE, HEAD} or len(refs) != len(manifest.blobs):
        raise ArtifactMismatch(f"blobs must be '{BACKBONE}' and '{HEAD}', are {sorted(refs)}")
    for name, ref in refs.items():
        path = blobs.get(ref.sha256)
        if path is None or not path.is_file():
            raise ArtifactMismatch(f"blob '{name}' is not there", blob=name)
        network.load_blob(name, read_blob(path, ref, network.tensor_specs(name)))
    network.freeze_backbone()
    return network


def load_policy(manifest: PolicyManifest, blobs: dict[str, Path], *, device: str = "cpu") -> Policy:
    """Load a policy version to drive a robot. Raises: as `load_network`."""
    return NetworkPolicy(load_network(manifest, blobs), device=device)
