"""Carries out plans: builds, verifies, tags, copies and shares AMIs.

Each step is safe to repeat after a failure. `scheduler` bakes images in dependency order, `locked_bake` bakes one image
under its lock, `baker` runs Packer and verifies its AMIs, `region_copies` copies a finished AMI, `reconcile` brings
tags and permissions to the configured state, and `waiters` waits for EC2's eventual consistency.
"""

from ami_bakery.bake.build_slots import WaitPolicy
from ami_bakery.bake.scheduler import bake_all

__all__ = ["WaitPolicy", "bake_all"]
