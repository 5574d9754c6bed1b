"""The example notebook runs as it stands: its cells in order, at tiny size, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.client import Client
from fleet.models import Episode
from tests.fleet.client.scripting import dataset_frozen

pytestmark = pytest.mark.django_db(transaction=True)
NOTEBOOK = Path(__file__).resolve().parents[3] / "docs" / "examples" / "train_from_dataset.ipynb"


def test_the_notebook_trains_from_a_dataset(
    server: str, token: str, sop: Client, worker: None, episodes: list[Episode], tmp_path: Path
) -> None:
    dataset_frozen(sop)
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert [each["outputs"] for each in cells if each["cell_type"] == "code" and each["outputs"]] == []
    script = "\n\n".join("".join(each["source"]) for each in cells if each["cell_type"] == "code")
    (tmp_path / "notebook.py").write_text(script)
    environment = {
        **os.environ,
        "SOP_URL": f"http://{server}",
        "SOP_TOKEN": token,
        "SOP_EXAMPLE_FOLDER": str(tmp_path / "data"),
        "SOP_EXAMPLE_EPOCHS": "8",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "notebook.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    errors = [float(line.split()[3]) for line in done.stdout.splitlines() if line.startswith("epoch ")]
    assert len(errors) == 8 and errors[-1] < errors[0], "it learns"
    assert len(list((tmp_path / "data").glob("*/policy.safetensors"))) == 1
