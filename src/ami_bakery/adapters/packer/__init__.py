"""HashiCorp Packer: which one it is, what it is told, and what it says."""

from ami_bakery.adapters.packer.client import HashicorpPacker

__all__ = ["HashicorpPacker"]
