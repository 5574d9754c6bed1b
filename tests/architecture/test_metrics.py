"""The metrics: each is explained, has few labels with few values, and is what dashboards and alerts ask for."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("fleet/telemetry.py", "fleet/daemon/telemetry.py", "learner/telemetry.py", "sop_web/exporter.py")
PAGE = ROOT / "docs" / "observability.md"
DASHBOARD = ROOT / "deploy" / "grafana" / "sop.json"
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
SCRAPE = ROOT / "deploy" / "prometheus" / "prometheus.yml"
KINDS = {"Counter", "Gauge", "Histogram", "_gauge"}
# A label may only be one of these; why each has few values. No id, name of a person, path or message is among them.
LABELS = {
    "method": "of HTTP; others are one word",
    "route": "templates of the URLs, and three words",
    "status": "of HTTP",
    "kind": "robot, console",
    "code": "of our errors, or close codes that our consumers know",
    "task": "of Celery: a message with an unknown name never runs",
    "state": "of a task, run or robot: enumerations",
    "part": "of readiness",
    "queue": "of the settings, and the scheduler",
    "source": "person, scripted, policy",
    "view": "of a robot's driver",
    "reason": "of a refusal at the robot: codes of command_gate.py and of our errors",
    "result": "of a round: committed, fenced, failed",
}
_NAME = re.compile(r"\bsop_[a-z0-9_]+\b")
_PROMETHEUS = {"up"}


def _definitions() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Yield kind, name, labels and text of every metric that the code defines."""
    for module in MODULES:
        for node in ast.walk(ast.parse((ROOT / module).read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS):
                continue
            first = node.args[0]
            if not isinstance(first, ast.Constant):
                continue
            name = str(first.value)
            found = node.args[3:] if node.func.id == "_gauge" else _list(node.args[2:])
            labels = tuple(str(each.value) for each in found if isinstance(each, ast.Constant))
            yield node.func.id, name, labels, module
    yield from _named_in_a_loop()


def _list(arguments: list[ast.expr]) -> list[ast.expr]:
    return arguments[0].elts if arguments and isinstance(arguments[0], ast.List) else []


def _named_in_a_loop() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    text = (ROOT / "sop_web/exporter.py").read_text()
    direct = set(re.findall(r'_gauge\(\s*"(sop_\w+)"', text))
    for name in set(re.findall(r'"(sop_[a-z_]+)"', text)) - direct:
        yield "_gauge", name, (), "sop_web/exporter.py"


METRICS = {name: (kind, labels, module) for kind, name, labels, module in _definitions()}
assert len(METRICS) > 30


def _exposed(name: str, kind: str) -> set[str]:
    """Return what Prometheus sees of a metric."""
    if kind == "Counter":
        return {f"{name}_total"}
    if kind == "Histogram":
        return {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return {name}


EXPOSED = {shown: name for name, (kind, _, _) in METRICS.items() for shown in _exposed(name, kind)}


@pytest.mark.parametrize("name", sorted(METRICS))
def test_labels_take_few_values(name: str) -> None:
    """A label that is not in LABELS? Say there why it cannot grow without bound, or leave it out."""
    assert set(METRICS[name][1]) <= set(LABELS)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_is_explained_with_its_labels(name: str) -> None:
    kind, labels, _ = METRICS[name]
    shown = f"{name}_total" if kind == "Counter" else name
    rows = [line for line in PAGE.read_text().splitlines() if re.match(rf"\| `{shown}[`{{]", line)]
    assert len(rows) == 1, f"docs/observability.md needs one row for {shown}"
    assert set(re.findall(r"\{([a-z, ]+)\}", rows[0].split("|")[1])) == ({", ".join(labels)} if labels else set())
    assert all(cell.strip() for cell in rows[0].strip("|").split("|")), "name, unit and meaning"


def test_the_page_explains_nothing_that_is_gone() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `sop_")]
    named = {_NAME.findall(line)[0] for line in rows}
    assert named == {f"{name}_total" if kind == "Counter" else name for name, (kind, _, _) in METRICS.items()}


def test_names_follow_prometheus() -> None:
    """Base units at the end, and `total` left to the library."""
    for name, (kind, _, _) in METRICS.items():
        assert not name.endswith(("_ms", "_total", "_mb", "_percent")), name
        if kind == "Histogram":
            assert name.endswith("_seconds"), name


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key in ("expr", "query") and isinstance(each, str):
                yield each
            else:
                yield from _expressions(each)
    elif isinstance(value, list):
        for each in value:
            yield from _expressions(each)


def _check(expression: str) -> None:
    assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}"), expression
    names = set(_NAME.findall(expression))
    assert names <= set(EXPOSED), f"{names - set(EXPOSED)} in {expression}"
    assert names or set(re.findall(r"\w+", expression)) & _PROMETHEUS, expression
    for metric, labels in re.findall(r"\b(sop_\w+)\{([^}]*)\}", expression):
        used = set(re.findall(r"(\w+)\s*(?:=|!)", labels))
        assert used <= {*METRICS[EXPOSED[metric]][1], "le", "job", "instance"}, expression
    for group in re.findall(r"\bby\s*\(([^)]*)\)", expression):
        known = {label for name in names for label in METRICS[EXPOSED[name]][1]} | {"le", "job", "instance"}
        assert {label.strip() for label in group.split(",")} <= known, expression


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["uid"] and dashboard["title"] and dashboard["schemaVersion"] >= 39
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        assert panel["title"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${source}" and panel["targets"]
    for expression in _expressions(dashboard["panels"]):
        _check(expression.replace("$__rate_interval", "1m"))


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells


def test_alert_rules_are_whole_and_ask_for_metrics_that_exist() -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 10
    for group in groups:
        assert set(group) <= {"name", "interval", "rules"}
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert re.fullmatch(r"\d+[smhd]", rule["for"]) and rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "action"} and all(rule["annotations"].values())
        assert re.fullmatch(r"[A-Z][A-Za-z]+", rule["alert"])
        _check(rule["expr"])


def test_the_page_lists_every_alert() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert {rule["alert"] for rule in rules} <= set(re.findall(r"`([A-Z][A-Za-z]+)`", PAGE.read_text()))


def test_prometheus_scrapes_both_ports_on_loopback() -> None:
    found = yaml.safe_load(SCRAPE.read_text())
    targets = [
        target for job in found["scrape_configs"] for each in job["static_configs"] for target in each["targets"]
    ]
    assert {job["job_name"] for job in found["scrape_configs"]} == {"sop-server", "sop-robot"}
    assert all(target.startswith("127.0.0.1:") for target in targets)
    assert found["rule_files"] == ["alerts.yml"]
