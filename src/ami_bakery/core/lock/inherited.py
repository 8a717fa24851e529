"""What a runner that has died leaves to the next one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InheritedAmis:
    """What dead holders noted on their lock, which whoever takes it over carries on.

    verified    an AMI that was verified and may lack the digest only
    unverified  AMIs of which nobody knows whether they are what they should be: never an answer
    """

    verified: str | None = None
    unverified: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.verified is not None or bool(self.unverified)

    def __or__(self, other: InheritedAmis) -> InheritedAmis:
        """One AMI is enough to be adopted; another is as any that was left."""
        verified = self.verified or other.verified
        second = {other.verified} - {verified, None} if other.verified else set()
        return InheritedAmis(verified, (self.unverified | other.unverified | second) - {verified})
