"""Runners of one digest that are killed at random moments: never two answers, and no runner that hangs.

AMI_BAKERY_ROUNDS is the number of rounds; AMI_BAKERY_SEED repeats the seed that a failure has printed.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

from tests.processes import kill_everything_of

from .bench import ended, finished

if TYPE_CHECKING:
    import subprocess

    from mypy_boto3_ec2 import EC2Client

    from tests.harness import Harness

ROUNDS = int(os.environ.get("AMI_BAKERY_ROUNDS", "1"))
RUNNERS = int(os.environ.get("AMI_BAKERY_RUNNERS", "4"))
_LATEST_SECONDS = 8.0
"""A bake takes two or three seconds, more on a busy machine."""


def test_runners_that_are_killed_at_random_agree_on_one_ami(app: Harness, ec2: EC2Client) -> None:
    app.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "8"
    seed = int(os.environ.get("AMI_BAKERY_SEED") or random.randrange(10**6))
    chance = random.Random(seed)
    for number in range(ROUNDS):
        app.write("ami/setup.sh", f"echo round {number} of {seed}\n")
        digest = app.run("digest").answer
        processes = [app.start("bake", own_group=True) for _ in range(RUNNERS)]
        doomed = chance.sample(processes, chance.randint(1, RUNNERS))
        killers = [_killer(app, process, chance) for process in doomed]
        runs = [ended(process) for process in processes if process not in doomed]
        for killer in killers:
            killer.join(timeout=120)
        assert not any(killer.is_alive() for killer in killers)
        assert {run.status for run in runs} <= {0}, (seed, [run.stderr for run in runs if run.status])
        (answer,) = {app.run("bake", timeout=300).answer, *(run.stdout for run in runs)}
        assert finished(ec2, digest) == [answer], (seed, number)


def _killer(app: Harness, process: subprocess.Popen[str], chance: random.Random) -> threading.Thread:
    seconds, how = chance.uniform(0, _LATEST_SECONDS), chance.choice(["process", "group", "machine"])

    def kill() -> None:
        time.sleep(seconds)
        if process.poll() is None and how == "machine":
            kill_everything_of(app, process)
        elif process.poll() is None and how == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.communicate(timeout=300)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread
