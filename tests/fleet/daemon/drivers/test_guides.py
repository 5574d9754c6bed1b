"""The guides about robots: the driver of own_driver.md works, so101.toml is a configuration that its page tells of."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fleet.daemon.config import load_config
from fleet.daemon.drivers import registry
from fleet.daemon.drivers.base import Driver
from fleet.daemon.drivers.lerobot.driver import LeRobotDriver
from fleet.daemon.drivers.registry import create_driver
from fleet.daemon.safety import ActionGuard
from fleet.protocol.policy import ActionChunk, Observation
from fleet.protocol.recording import Outcome
from tests.fleet.daemon.drivers import test_driver_contract as contract
from tests.fleet.daemon.loop_made import runner, spec

GUIDES = Path(__file__).parents[4] / "docs" / "guides"


@pytest.fixture
def cart(monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """The page's driver under the page's name, as if it lay there."""
    text = (GUIDES / "own_driver.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    ((name, target),) = re.findall(r'`"(\w+)": "([\w.]+:create)"`', text)
    module = ModuleType(target.partition(":")[0])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, "own_driver.md", "exec"), module.__dict__)
    monkeypatch.setitem(registry._FACTORIES, name, target)
    driver = create_driver(name, {})
    driver.connect()
    yield driver
    driver.close()


@pytest.mark.parametrize(
    "test",
    [
        contract.test_info_describes_what_observations_and_actions_hold,
        contract.test_apply_answers_with_a_finite_reward_and_changes_the_observation,
        contract.test_observing_twice_gives_the_same_and_holding_keeps_still,
        contract.test_snapshot_has_the_size_asked_for,
        contract.test_an_unknown_task_is_refused_and_the_driver_goes_on,
    ],
)
def test_the_driver_of_the_page_keeps_the_contract(cart: Driver, test: object) -> None:
    test(cart)  # type: ignore[operator]


def test_the_driver_of_the_page_runs_an_episode(cart: Driver) -> None:
    class Forwards:
        execute_steps = 1

        def reset(self, *, instruction: str, seed: int) -> None: ...

        def infer(self, observation: Observation) -> ActionChunk:
            return ActionChunk(np.ones((1, 1), np.float32))

    recording = runner(cart).run(spec(driver_task="to-the-end"), Forwards())  # type: ignore[arg-type]
    assert (recording.outcome, recording.steps) == (Outcome.SUCCESS, 16)


def test_the_so101_file_is_a_configuration_that_fits_itself() -> None:
    config = load_config(path=GUIDES / "so101.toml")
    driver = create_driver(config.driver, config.driver_options)
    assert isinstance(driver, LeRobotDriver)
    info = driver.info
    assert config.control.control_rate_hz == info.control_rate_hz
    ActionGuard(config.safety, info.action_names, kept_axes=info.kept_axes)
    assert [(camera.width, camera.height) for camera in (*info.cameras, *info.views)] == [(128, 128), (640, 480)]
    cameras = driver.options.robot["cameras"]
    sizes = {name: (one["width"], one["height"]) for name, one in cameras.items()}
    assert sizes == {one.feature: (one.width, one.height) for one in driver.options.cameras.values()}


def test_the_page_shows_an_axis_of_the_file_and_every_code_of_the_driver() -> None:
    page = (GUIDES / "so101.md").read_text()
    (axis,) = re.findall(r"```toml\n(.*?)```", page, flags=re.S)
    written = re.sub(r" +#.*", "", (GUIDES / "so101.toml").read_text())
    assert axis.strip() in written
    sources = "".join(path.read_text() for path in Path(registry.__file__).parent.glob("lerobot/*.py"))
    codes = {*re.findall(r'(?:RobotError|Failure)\(\s*"(\w+)"', sources), *re.findall(r'"error": "(\w+)"', sources)}
    assert len(codes) > 10
    assert codes - set(re.findall(r"`(\w+)`", page)) == {"no_picture"}, "which people who watch hear alone"
