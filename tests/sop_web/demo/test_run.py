"""What a demo does with what an earlier one left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.services.policy import policy_version_publish
from sop_web.demo.base_policy import BasePolicy
from sop_web.demo.config import parse_arguments
from sop_web.demo.processes import DemoError
from sop_web.demo.run import RUN_NAME, Demo
from sop_web.demo.stack import Stack
from sop_web.embedded import Services
from tests.fleet import builders


@pytest.mark.django_db
def test_a_run_goes_on_from_its_own_base_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """With other options the base is another; it must not become the newest version of the run that is there."""
    settings.SOP_OBJECT_STORE_URL = f"file://{tmp_path}/objects"
    imported: list[tuple[str, ...]] = []
    monkeypatch.setattr("sop_web.demo.run.manage", lambda stack, *arguments: imported.append(arguments))
    stack = Stack(data_dir=tmp_path, port=1, services=Services(database_url="", redis_url=""))
    base = BasePolicy(tmp_path / "base")
    base.policy.mkdir(parents=True)
    manifest, blobs = builders.policy(value=1.0)
    (base.policy / "manifest.json").write_bytes(manifest)
    demo = Demo(parse_arguments([])[1])
    run = builders.running_run(name=RUN_NAME)

    demo._publish_base(stack, base)
    policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
    demo._publish_base(stack, base)
    assert [arguments[0] for arguments in imported] == ["import_episodes", "policy_import"] * 2

    (base.policy / "manifest.json").write_bytes(builders.policy(value=2.0)[0])
    with pytest.raises(DemoError, match=r"another base policy.*make demo-reset"):
        demo._publish_base(stack, base)
    assert len(imported) == 4
