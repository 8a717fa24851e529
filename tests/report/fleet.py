"""Creates the parts of a report's document, deterministically, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

GENERATED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ACCOUNT = "210987654321"
UBUNTU = "ami-0c7217cdde317cfec"
REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-2")

Contents: TypeAlias = Mapping[tuple[str, str], str]
"""What a build was made from: `(part, subject)` to a text that represents its content."""


def ago(days: float) -> str:
    """Returns the time that many days before the report was made."""
    return (GENERATED - timedelta(seconds=round(days * 86400))).strftime("%Y-%m-%dT%H:%M:%SZ")


def digest_of(*words: object) -> str:
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()


def id_of(kind: str, *words: object) -> str:
    """Returns an id of EC2, such as `ami-0123456789abcdef0`."""
    return f"{kind}-0{digest_of(kind, *words)[:16]}"


def commit_of(*words: object) -> str:
    return digest_of("commit", *words)[:40]


def new_uses(**known: Any) -> dict[str, Any]:
    kinds = ("instances", "launch_templates", "auto_scaling_groups", "launch_configurations", "others")
    return {kind: known.get(kind, []) for kind in kinds}


def new_instance(*words: object, days: float = 3, state: str | None = "running") -> dict[str, Any]:
    return {"id": id_of("i", *words), "state": state, "launched": ago(days)}


def new_prune(action: str, reason: str, detail: str | None = None) -> dict[str, Any]:
    return {"action": action, "reason": reason, "detail": detail}


def new_ami(image: str, number: int, region: str, days: float, **other: Any) -> dict[str, Any]:
    ami: dict[str, Any] = {
        "ami": id_of("ami", image, number, region),
        "region": region,
        "name": f"{image}-{20260000 + number}",
        "state": "available",
        "created": ago(days),
        "copy_of": None,
        "tags": {
            "Name": image,
            "ami-bakery:image": image,
            "ami-bakery:format": "1",
            "ami_config_checksum": digest_of(image, number),
            "team": "platform",
        },
        "shared_with": [],
        "gibibytes": 8,
        "monthly_cost_usd": 0.4,
        "last_launched": None,
        "quarantined": None,
        "uses": new_uses(),
        "prune": new_prune("keep", "last", "one of the newest 3 builds"),
    }
    return ami | other


def new_build(
    image: str, number: int, days: float, regions: Sequence[str] = REGIONS[:1], **other: Any
) -> dict[str, Any]:
    """Returns a build with one AMI for each region; those in other regions are copies of the first."""
    first = new_ami(image, number, regions[0], days)
    copies = [new_ami(image, number, region, days - 0.01, copy_of=first["ami"]) for region in regions[1:]]
    build: dict[str, Any] = {
        "id": first["ami"],
        "region": regions[0],
        "created": first["created"],
        "state": "superseded",
        "digest": digest_of(image, number),
        "commit": commit_of(number),
        "dirty": False,
        "run": digest_of("run", image, number)[:12],
        "source_amis": [UBUNTU],
        "parent": None,
        "tested": None,
        "revoked": None,
        "channels": [],
        "builds_behind": 0,
        "seconds_behind": 0,
        "used": False,
        "amis": [first, *copies],
        "changes": None,
    }
    return build | other


def new_channel(channel: str, image: str, region: str, build: Mapping[str, Any] | None, **other: Any) -> dict[str, Any]:
    """Returns a channel that has the AMI of a build in this region; none if the parameter is missing."""
    amis = {ami["region"]: ami["ami"] for ami in build["amis"]} if build else {}
    row: dict[str, Any] = {
        "channel": channel,
        "region": region,
        "parameter": f"/ami-bakery/{image}/{channel}",
        "ami": amis.get(region),
        "build": build["id"] if build else None,
        "version": 3 if build else None,
        "modified": ago(2.5) if build else None,
        "by": "deploy/jenkins" if build else None,
        "builds_behind": build["builds_behind"] if build else None,
        "problem": None if build else "the parameter is missing",
        "history": [],
    }
    return row | other


def new_input(path: str, *, kind: str = "file", executable: bool = False) -> dict[str, Any]:
    sha256 = digest_of("content", path) if kind == "file" else None
    return {"path": path, "type": kind, "executable": executable, "sha256": sha256}


def new_definition(image: str, inputs: Iterable[str] = (), **other: Any) -> dict[str, Any]:
    template = f"images/{image}/{image}.pkr.hcl"
    paths = sorted({template, f"images/{image}/setup.sh", *inputs})
    definition = {
        "template": template,
        "workdir": f"images/{image}",
        "only": [],
        "except": [],
        "source": "ubuntu/images/hvm-ssd/ubuntu-jammy-*-amd64-server-* of 099720109477",
        "source_amis": [UBUNTU],
        "variables": [{"name": "instance_type", "text": "t3.small"}],
        "var_files": [],
        "environment": [],
        "tools": [{"name": "packer", "version": "1.11.2"}, {"name": "amazon", "version": "1.3.3"}],
        "salt": None,
        "test": None,
        "inputs": [new_input(path, executable=path.endswith(".sh")) for path in paths],
    }
    return definition | other


def new_image(name: str, state: str, builds: Sequence[dict[str, Any]] = (), **other: Any) -> dict[str, Any]:
    """Returns an image. Builds are oldest first; counts how far each is behind the newest."""
    newest_first = list(reversed(builds))
    for behind, build in enumerate(newest_first):
        build["builds_behind"] = behind
        build["seconds_behind"] = _seconds_between(build["created"], newest_first[0]["created"])
    amis = {ami["region"]: ami["ami"] for ami in newest_first[0]["amis"]} if builds and state == "current" else {}
    image: dict[str, Any] = {
        "image": name,
        "state": state,
        "action": "reuse",
        "reasons": [],
        "error": None,
        "digest": digest_of(name, len(builds)),
        "building": None,
        "tags": {"team": "platform"},
        "regions": list(REGIONS[:1]),
        "amis": amis,
        "parent": None,
        "children": [],
        "keep": None,
        "definition": new_definition(name),
        "builds": newest_first,
        "channels": [],
        "findings": [],
    }
    return image | other


def add_changes(builds: Sequence[dict[str, Any]], definitions: Sequence[Contents]) -> None:
    """Sets what changed between these builds (oldest first), with states that are numbered for each subject."""
    numbers: dict[tuple[str, str], dict[str, int]] = {}
    for definition in definitions:
        for subject, content in definition.items():
            known = numbers.setdefault(subject, {})
            known.setdefault(content, len(known) + 1)
    pairs = zip(zip(builds, definitions, strict=True), zip(builds[1:], definitions[1:], strict=True), strict=False)
    for (older, before), (newer, after) in pairs:
        items = [
            {
                "part": part,
                "subject": subject,
                "before": numbers[part, subject].get(before.get((part, subject), "")),
                "after": numbers[part, subject].get(after.get((part, subject), "")),
                "detail": _detail(before.get((part, subject)), after.get((part, subject))),
            }
            for part, subject in sorted({*before, *after})
            if before.get((part, subject)) != after.get((part, subject))
        ]
        newer["changes"] = {"since": older["id"], "items": items, "notes": []}


def new_lineage(images: Sequence[Mapping[str, Any]], sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the graph of source AMIs, images, and copies of images in other regions."""
    nodes = [
        {
            "id": f"source:{source['ami']}",
            "kind": "source",
            "label": source["name"] or source["ami"],
            "image": None,
            "ami": source["ami"],
            "region": source["region"],
            "state": "unknown" if source["state"] == "gone" else "current",
        }
        for source in sources
    ]
    edges = []
    for image in images:
        name = image["image"]
        newest = image["builds"][0]["amis"] if image["builds"] else []
        amis = {ami["region"]: ami["ami"] for ami in newest}
        common = {"image": name, "state": image["state"]}
        home = image["regions"][0]
        nodes.append(
            {"id": f"image:{name}", "kind": "image", "label": name, "ami": amis.get(home), "region": home, **common}
        )
        sources_of_image = image["definition"]["source_amis"] if image["definition"] else []
        origins = [f"image:{image['parent']}"] if image["parent"] else [f"source:{ami}" for ami in sources_of_image]
        edges += [{"kind": "built-from", "origin": origin, "target": f"image:{name}"} for origin in origins]
        for region in image["regions"][1:]:
            copy = f"copy:{name}:{region}"
            nodes.append(
                {"id": copy, "kind": "copy", "label": f"{name} in {region}", "ami": amis.get(region), "region": region}
                | common
            )
            edges.append({"kind": "copied", "origin": f"image:{name}", "target": copy})
    return {"nodes": nodes, "edges": edges}


def new_commits(images: Iterable[Mapping[str, Any]], subjects: Sequence[str]) -> dict[str, Any]:
    """Returns the commits that the builds name, with these subjects in turn."""
    dates = {build["commit"]: build["created"] for image in images for build in image["builds"] if build["commit"]}
    return {
        commit: {
            "url": f"https://github.com/example/amis/commit/{commit}",
            "subject": subjects[number % len(subjects)],
            "committed": dates[commit],
        }
        for number, commit in enumerate(sorted(dates))
    }


def _detail(before: str | None, after: str | None) -> str:
    if before is None:
        return "added"
    return "removed" if after is None else f"changed from {before} to {after}"


def _seconds_between(start: str, end: str) -> int:
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
