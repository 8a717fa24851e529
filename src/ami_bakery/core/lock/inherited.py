"""AMIs that a dead holder recorded on its lock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InheritedAmis:
    """AMIs that dead holders recorded on their locks, for the next holder.

    verified    a verified AMI that may lack only the digest
    unverified  AMIs that no run has verified; no bake returns them
    """

    verified: str | None = None
    unverified: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.verified is not None or bool(self.unverified)

    def __or__(self, other: InheritedAmis) -> InheritedAmis:
        """Merges both. Only one verified AMI can be adopted; a second one counts as unverified."""
        verified = self.verified or other.verified
        second = {other.verified} - {verified, None} if other.verified else set()
        return InheritedAmis(verified, (self.unverified | other.unverified | second) - {verified})
