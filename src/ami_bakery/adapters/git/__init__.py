"""Git, through its own program: what it knows of a folder, and the files of another revision without a checkout."""

from ami_bakery.adapters.git.client import GitProgram

__all__ = ["GitProgram"]
