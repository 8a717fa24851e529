"""What an audit's findings mean for a bake."""

from __future__ import annotations

from enum import StrEnum


class AuditMode(StrEnum):
    WARN = "warn"
    """A file that is not in the digest is a warning."""
    STRICT = "strict"
    """With such a file, the AMI does not get the digest."""
