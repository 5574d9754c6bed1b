"""No service changes something unseen: each leaves an audit entry, or says here why it does not."""

from __future__ import annotations

import ast
from pathlib import Path

SERVICES = Path(__file__).resolve().parents[2] / "fleet" / "services"
DOOR = "audit_record"
# What machines do all the time is in rows of its own (episodes, rounds, metrics, deployments, requests for help), and
# would bury what people did. `*`: every function of the module.
UNSEEN = {
    "audit": {"*": "the door itself"},
    "alert_mail": {"*": "machines; each mail is a row of its own"},
    "alert_rule": {"alert_rule_preview": "reads"},
    "alert_tell": {"*": "machines; the alert's row is the record"},
    "alert_watch": {"alerts_evaluate": "machines; the alert's row is the record"},
    "api_token": {"api_token_use": "a sign of life, kept at the token"},
    "assignment": {"assignments_sweep": "opens and closes hours, which were noted"},
    "backup": {"*": "reads; the folder of backups is the record"},
    "database_dump": {"*": "whoever may do this is past the application, and what it loads brings its own log"},
    "restore": {"*": "as database_dump"},
    "dataset": {
        "dataset_lock": "within a service",
        "require_open": "reads",
        "dataset_notes": "reads",
    },
    "dataset_card": {"*": "reads"},
    "dataset_describe": {"*": "reads what was frozen, in the background"},
    "dataset_import": {
        "require_fit": "reads",
        "require_sound": "reads",
        "import_report": "reads",
        "import_mapping": "reads",
        "import_lock": "within a service",
        "import_end": "within a service",
    },
    "dataset_import_work": {"*": "workers do what was asked for, which is noted"},
    "episode": {"*": "robots and imports deliver; the episode's row says when, from where and by whom"},
    "episode_check": {"*": "reads"},
    "episode_refusal": {"*": "robots deliver; the note is the record"},
    "episode_turn": {"*": "robots deliver, as in episode"},
    "episode_upload": {"*": "grants; robots deliver, as in episode"},
    "enrolment": {"robot_name_check": "reads"},
    "export": {
        "export_check": "reads",
        "export_lock": "within a service",
        "export_ended": "within a service",
        "export_cleanup": "within a service",
    },
    "export_reap": {"*": "workers clean up what was asked for, which is noted"},
    "export_run": {"*": "workers do what was asked for, which is noted"},
    "export_sinks": {"*": "reads"},
    "export_watch": {"*": "reads"},
    "help": {
        "help_is_news": "reads",
        "help_seen": "robots ask for help; the request's row is the record",
        "help_claimed": "follows from a lease, which is noted",
        "help_served": "follows from a lease, which is noted",
        "help_sweep": "robots that left",
    },
    "idempotency": {"*": "keeps answers of what is noted itself"},
    "lease": {"lease_renew": "every second or so, of a lease that was noted", "lease_ask": "changes nothing"},
    "metric_history": {"*": "the learner's numbers"},
    "person": {"password_set": "within a service, which notes it", "user_lock": "within a service"},
    "person_link": {"link_find": "reads"},
    "policy_patch": {"*": "what a published version is sent as"},
    "policy": {
        "policy_version_applied": "robots report; the deployment's row is the record",
        "policy_version_refused": "robots report; the deployment's row is the record",
    },
    "revision": {"*": "within a service"},
    "retention": {"retention_rule_build": "reads"},
    "robot": {
        "secret_sha256": "reads",
        "robot_key_check": "reads",
        "robot_keys_check": "reads",
        "robot_link_check": "reads",
        "robot_thumbnail": "pictures",
        "robot_lock": "within a service",
        "robots_bump": "within a service",
    },
    "robot_hello": {"*": "robots connect, or are refused for their protocol; their rows say so"},
    "robot_logs": {"robot_logs_heard": "robots send their log"},
    "robot_seen": {"*": "heartbeats, and robots that leave"},
    "robot_state": {"*": "what heartbeats and silence say of robots"},
    "rollout": {
        "rollout_lock": "within a service",
        "fleet_follow": "within a service, which is noted",
        "announce_desired": "within a service, which is noted",
        "version_usable": "reads",
        "version_require_weights": "reads",
    },
    "rollout_judge": {"evidence_json": "reads"},
    "rollup": {"*": "sums of episodes, which can be made anew"},
    "shadow": {
        "shadow_reported": "robots report; the row is the record",
        "shadow_episode_note": "robots report; the row is the record",
        "space_difference": "reads",
    },
    "storage_guard": {"*": "within a service"},
    "storage_verify": {"*": "marks what it finds in the episodes' rows, and keeps its report"},
    "session": {"session_noted": "a sign of life, kept at the session", "session_forget": "one signs out"},
    "sign_in": {"sign_in_unlock": "follows from a reset, which is noted"},
    "text": {"*": "reads"},
    "totp": {"totp_begin": "counts once it is confirmed, which is noted"},
    "training": {
        "training_run_claim": "workers take turns",
        "training_run_heartbeat": "a sign of life",
        "training_round_begin": "the learner's rounds have rows of their own",
        "run_settle": "within a service",
        "run_metrics_record": "the learner's numbers",
        "run_lock": "within a service",
    },
    "webhook": {"webhook_secret": "reads", "allow_list": "reads"},
    "webhook_delivery": {"*": "machines; each delivery is a row of its own"},
    "webhook_event": {"*": "what is told follows from a change"},
    "training_settings": {"*": "reads"},
    "training_file": {"*": "stores bytes under their own hash"},
}


def _functions() -> dict[str, dict[str, ast.FunctionDef]]:
    found = {}
    for path in sorted(SERVICES.glob("*.py")):
        nodes = ast.parse(path.read_text()).body
        found[path.stem] = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
    return found


def _calls(node: ast.AST) -> set[str]:
    called = {each.func for each in ast.walk(node) if isinstance(each, ast.Call)}
    return {func.id for func in called if isinstance(func, ast.Name)} | {
        func.attr for func in called if isinstance(func, ast.Attribute)
    }


def _audited() -> set[str]:
    """Return the functions that come to the door, be it through others of services."""
    calls = {
        _full(module, name): {_full(module, called) for called in _calls(node)}
        for module, functions in _functions().items()
        for name, node in functions.items()
    }
    reached = {DOOR}
    while grown := {name for name, called in calls.items() if called & reached} - reached:
        reached |= grown
    return reached


def _full(module: str, name: str) -> str:
    """Private names are their module's own."""
    return f"{module}.{name}" if name.startswith("_") else name


def test_every_service_that_writes_leaves_an_audit_entry() -> None:
    """Fails for a new service? Call `audit_record` in it, within its transaction, or name it above with the reason."""
    audited, forgotten = _audited(), []
    for module, functions in _functions().items():
        excused = UNSEEN.get(module, {})
        public = {name for name in functions if not name.startswith("_")}
        forgotten += [f"{module}.{name}" for name in sorted(public - audited - set(excused)) if "*" not in excused]
    assert forgotten == []


def test_no_excuse_is_out_of_date() -> None:
    audited, functions = _audited(), _functions()
    stale = [
        f"{module}.{name}"
        for module, excused in UNSEEN.items()
        for name in excused
        if name != "*" and (name not in functions[module] or name in audited)
    ]
    assert stale == []
