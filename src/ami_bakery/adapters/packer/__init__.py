"""HashiCorp Packer: its version, plugins, command line and output."""

from ami_bakery.adapters.packer.client import HashicorpPacker

__all__ = ["HashicorpPacker"]
