"""Git, through the `git` program: commits, status and files of other revisions without a checkout."""

from ami_bakery.adapters.git.client import GitProgram

__all__ = ["GitProgram"]
