"""Documents of `report`, made up for tests: without images, with every state, large, and hostile.

usage: python -m tests.report.documents empty|small|large|hostile >document.json
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

from tests.report.fleet import (
    ACCOUNT,
    GENERATED,
    REGIONS,
    UBUNTU,
    Contents,
    add_changes,
    ago,
    commit_of,
    digest_of,
    id_of,
    new_build,
    new_commits,
    new_definition,
    new_image,
    new_lineage,
)
from tests.report.hostile import with_hostile_text
from tests.report.small_fleet import small_images, small_orphans

_SUBJECTS = (
    "base: install the newest kernel",
    "app: raise the limit of open files",
    "monitoring: pin node_exporter to 1.8.2",
    "Merge branch 'security/openssl' into 'main'",
)


def empty_document() -> dict[str, Any]:
    """Returns a document without images, outside of git and CI."""
    return {
        "format": 1,
        "generated": GENERATED.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": "3.0.0",
        "account": None,
        "regions": [],
        "repository": None,
        "job": None,
        "unknown": [],
        "images": [],
        "source_amis": [],
        "lineage": {"nodes": [], "edges": []},
        "commits": {},
        "orphans": [],
        "prune": None,
    }


def small_document() -> dict[str, Any]:
    """Returns twelve images, with every state that an image and a build can have."""
    return _document(
        small_images(),
        orphans=small_orphans(),
        unknown=[
            "Auto Scaling groups in eu-west-1 cannot be read: AccessDenied: autoscaling:DescribeAutoScalingGroups.",
            "The plan of broken failed, so its state is unknown.",
        ],
    )


def large_document(*, images: int = 200, builds: int = 20) -> dict[str, Any]:
    """Returns many images, each with many builds; each tenth is in three regions."""
    chance = random.Random(7)
    names = _names(images)
    made: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        parent = names[chance.randrange(min(number, 12))] if number % 3 else None
        made.append(_large_image(name, number, builds, parent, chance))
    by_name = {image["image"]: image for image in made}
    for image in made:
        if image["parent"]:
            by_name[image["parent"]]["children"].append(image["image"])
    return _document(made, orphans=[], unknown=[])


def hostile_document() -> dict[str, Any]:
    """Returns the small document, with hostile text wherever a user or a stranger chooses the text.

    Scripts in it set `window.hacked` if they run.
    """
    return with_hostile_text(small_document())


def _document(images: list[dict[str, Any]], *, orphans: Any, unknown: list[str]) -> dict[str, Any]:
    sources: list[dict[str, Any]] = [
        {
            "ami": UBUNTU,
            "region": REGIONS[0],
            "name": "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20260218",
            "owner": "099720109477",
            "created": ago(12),
            "state": "available",
            "deprecated": ago(-718),
        },
        {
            "ami": id_of("ami", "gone"),
            "region": REGIONS[0],
            "name": None,
            "owner": None,
            "created": None,
            "state": "gone",
            "deprecated": None,
        },
    ]
    commit = commit_of(99)
    amis = [ami for image in images for build in image["builds"] for ami in build["amis"]]
    to_disable = [ami for ami in amis if ami["prune"] and ami["prune"]["action"] == "disable"]
    to_deregister = [ami for ami in amis if ami["prune"] and ami["prune"]["action"] == "deregister"]
    return empty_document() | {
        "account": ACCOUNT,
        "regions": list(REGIONS),
        "repository": {
            "commit": commit,
            "dirty": True,
            "url": "https://github.com/example/amis",
            "commit_url": f"https://github.com/example/amis/commit/{commit}",
        },
        "job": "https://github.com/example/amis/actions/runs/1234567890",
        "unknown": unknown,
        "images": images,
        "source_amis": sources,
        "lineage": new_lineage(images, sources),
        "commits": new_commits(images, _SUBJECTS),
        "orphans": orphans,
        "prune": {
            "usd_per_gibibyte_month": 0.05,
            "quarantine_seconds": 14 * 86400,
            "amis": len(amis),
            "gibibytes": sum(ami["gibibytes"] or 0 for ami in amis),
            "monthly_cost_usd": round(sum(ami["monthly_cost_usd"] or 0 for ami in amis), 2),
            "to_disable": len(to_disable),
            "to_deregister": len(to_deregister),
            "freed_gibibytes": sum(ami["gibibytes"] or 0 for ami in to_deregister),
            "freed_monthly_cost_usd": round(sum(ami["monthly_cost_usd"] or 0 for ami in to_deregister), 2),
            "freed_later_gibibytes": sum(ami["gibibytes"] or 0 for ami in to_disable),
            "freed_later_monthly_cost_usd": round(sum(ami["monthly_cost_usd"] or 0 for ami in to_disable), 2),
        },
    }


def _names(count: int) -> list[str]:
    """Returns names such as `base`, `payments-api` and `payments-api-gpu-2`."""
    teams = ("payments", "search", "identity", "orders", "billing", "media", "data", "edge", "risk", "catalog")
    roles = ("api", "worker", "web", "cron", "proxy", "cache", "queue")
    names = ["base", "base-arm64", "hardened", *(f"{team}-{role}" for role in roles for team in teams)]
    names += [f"{name}-{suffix}" for suffix in ("gpu", "arm64", "canary", "batch") for name in names[3:]]
    names += [f"image-{number}" for number in range(len(names), count)]
    return names[:count]


def _large_image(name: str, number: int, builds: int, parent: str | None, chance: random.Random) -> dict[str, Any]:
    regions = REGIONS if number % 10 == 0 else REGIONS[:1]
    age = chance.uniform(0.2, 9)
    made = [
        new_build(
            name,
            build,
            days=age + (builds - build) * chance.uniform(6.5, 7),
            regions=regions,
            parent=parent,
            commit=commit_of(number % 7, build),
            state="current" if build == builds else "superseded",
        )
        for build in range(1, builds + 1)
    ]
    made.sort(key=lambda build: str(build["created"]))
    add_changes(made, _contents(name, builds, chance))
    state = ("current",) * 6 + ("behind", "behind", "not-copied", "untested")
    return new_image(
        name,
        state[number % len(state)],
        made,
        action="reuse" if number % len(state) < 6 else "bake",
        regions=list(regions),
        parent=parent,
        tags={"team": name.split("-")[0], "os": "ubuntu-22.04"},
        keep={"last": 5, "within_seconds": 90 * 86400},
        definition=new_definition(name, ("common/users.sh", "common/sysctl.conf")),
    )


def _contents(name: str, builds: int, chance: random.Random) -> list[Contents]:
    contents = {
        ("base", "source AMI"): "1",
        ("files", f"images/{name}/setup.sh"): "1",
        ("files", f"images/{name}/{name}.pkr.hcl"): "1",
        ("files", "common/users.sh"): "1",
        ("tools", "packer"): "1.11.2",
        ("variables", "instance_type"): "t3.small",
    }
    history = [dict(contents)]
    for build in range(2, builds + 1):
        for subject in chance.sample(sorted(contents), chance.randint(1, 3)):
            contents[subject] = digest_of(name, build)[:7]
        history.append(dict(contents))
    return list(history)


DOCUMENTS = {
    "empty": empty_document,
    "small": small_document,
    "large": large_document,
    "hostile": hostile_document,
}

if __name__ == "__main__":
    print(json.dumps(DOCUMENTS[sys.argv[1]](), indent=1))
