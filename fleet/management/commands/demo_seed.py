"""`manage.py demo_seed`: users, tasks, the training run and the robots' assignments of the demo. Idempotent.

Passwords come from SOP_ADMIN_PASSWORD, SOP_OPERATOR_PASSWORD and SOP_MANAGER_PASSWORD; a user without one gets a
generated password, printed once. Users that exist keep theirs.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from fleet.models import Robot, Task, TrainingRun
from fleet.permissions import Role
from fleet.services.alert_rule import alert_rules_default
from fleet.services.assignment import assignment_set
from fleet.services.person import person_roles_set
from fleet.services.task import task_create
from fleet.services.training import training_run_create

TASKS = {
    "shelf-place": "put the block on the shelf",
    "bin-picking": "move the block from the left bin to the right bin",
    "box-close": "pick up the lid and close the box",
    "drawer-open": "open the drawer",
    "assembly": "put the ring on the peg",
    "peg-insert-side": "insert the peg into the hole in the side of the box",
    "disassemble": "pull the ring off the peg",
}
DEMO_TASKS = ("shelf-place", "bin-picking", "box-close")
MAX_STEPS = 250
USERS = {"admin": Role.ADMIN, "manager": Role.MANAGER, "operator": Role.OPERATOR}


class Command(BaseCommand):
    help = "Create the demo's users, tasks and training run, and assign every robot to the tasks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tasks", default=",".join(DEMO_TASKS), help="comma-separated slugs")
        parser.add_argument("--run", default="demo", help="name of the training run")
        parser.add_argument("--algorithm", default="hg_dagger")
        parser.add_argument("--config", default="{}", help="the learner's configuration, JSON")
        parser.add_argument("--seed", type=int, default=0)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        slugs = [slug for slug in options["tasks"].split(",") if slug]
        unknown = set(slugs) - set(TASKS)
        if unknown or not slugs:
            raise CommandError(f"unknown tasks {sorted(unknown)}; there are {', '.join(TASKS)}")
        passwords = _users()
        tasks = [_task(slug) for slug in slugs]
        run = TrainingRun.objects.filter(name=options["run"]).first() or training_run_create(
            name=options["run"],
            algorithm=options["algorithm"],
            config=json.loads(options["config"]),
            seed=options["seed"],
            task_slugs=slugs,
        )
        for robot in Robot.objects.filter(assignments__isnull=True):
            for task in tasks:
                assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0)
        alert_rules_default()
        answer = {"run_id": str(run.id), "tasks": {task.slug: str(task.id) for task in tasks}, "passwords": passwords}
        self.stdout.write(json.dumps(answer))


def _users() -> dict[str, str]:
    """Create the users that are missing; return the passwords that were generated here."""
    generated = {}
    for name, role in USERS.items():
        if get_user_model().objects.filter(username=name).exists():
            continue
        password = os.environ.get(f"SOP_{name.upper()}_PASSWORD", "")
        if not password:
            generated[name] = password = secrets.token_urlsafe(12)
        user = get_user_model().objects.create_user(username=name, password=password)
        person_roles_set(user=user, roles=[role])
    return generated


def _task(slug: str) -> Task:
    found = Task.objects.filter(slug=slug).first()
    return found or task_create(slug=slug, instruction=TASKS[slug], driver_task=slug, max_steps=MAX_STEPS)
