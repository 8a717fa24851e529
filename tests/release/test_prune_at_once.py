"""Two prunes and a bake of a quarantined digest at the same time: the bake's answer is never disabled or deleted.

AMI_BAKERY_ROUNDS sets the number of rounds.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tests.harness import json_template
from tests.release.pruning import HOME, stocked

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness

ROUNDS = int(os.environ.get("AMI_BAKERY_ROUNDS", "2"))
_ROUNDS_WITH_BOTH = 10
"""From this number of rounds, at least one bake must enable an AMI, and at least one must build."""
_PRUNE = ("prune", "--apply", "--limit-percent", "100", "-C", "other")


def test_answer_of_a_bake_is_never_deleted(harness: Harness, local: LocalAws) -> None:
    """The prunes run in another commit, in which the digest is not current."""
    stock = stocked(harness, local, keep="")
    config = 'version = 1\n[images.app]\ntemplate = "app.json"\nregions = ["us-east-1"]\nkeep = { within = "1m" }\n'
    harness.write("other/bakery.toml", config)
    harness.write("other/app.json", json_template(ami_description="another commit"))
    digest = harness.run("digest").answer
    late = ("bake", "--id")
    commands = [(*_PRUNE, "--quarantine", "0d"), _PRUNE, late]
    built = enabled = 0
    for number in range(ROUNDS):
        harness.control.reset()
        ami = stock.build(90, digest=digest)
        stock.quarantine(ami, 20)
        at = number % len(commands)
        started = {}
        if number % 2:
            # The first prune deregisters two seconds after it took the lock. The bake starts before or after that.
            for command in commands:
                time.sleep(number % 9 * 0.7 if command is late else 0)
                started[command] = harness.start(*command)
        else:
            for command in (*commands[at:], *commands[:at]):
                started[command] = harness.start(*command)
                time.sleep(number % 7 * 0.1)
        done = {
            command: (*process.communicate(timeout=300), process.returncode) for command, process in started.items()
        }
        assert {status for _, _, status in done.values()} == {0}, done
        answer = done[late][0].strip()
        enabled, built = enabled + (answer == ami[HOME]), built + (answer != ami[HOME])
        assert stock.states([HOME]).get(answer) == "available", done
        again = harness.run(*_PRUNE, "--quarantine", "0d")
        assert again.status == 0, again.stderr
        assert stock.states([HOME]).get(answer) == "available", "it is younger than a day, or was enabled today"
    assert ROUNDS < _ROUNDS_WITH_BOTH or (built and enabled), (built, enabled)
