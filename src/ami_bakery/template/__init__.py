"""Packer templates, legacy JSON and HCL2, read by Packer's own rules and without Packer."""

from ami_bakery.template.template_reader import PackerTemplateReader

__all__ = ["PackerTemplateReader"]
