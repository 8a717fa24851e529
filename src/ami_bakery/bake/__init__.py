"""Carries plans out: bake, verify, tag, copy, share. Each step is safe to repeat after a failure.

`turns` goes through the images in the order of their graph; `baker` runs Packer for one, and makes sure of what it
made; `regions` copies and shares what is finished; `sight` waits until EC2 shows what it was asked for.
"""

from ami_bakery.bake.scheduler import bake_all
from ami_bakery.bake.slots import WaitPolicy

__all__ = ["WaitPolicy", "bake_all"]
