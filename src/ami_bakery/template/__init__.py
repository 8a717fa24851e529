"""Reads Packer templates, legacy JSON and HCL2, by Packer's rules and without running Packer.

Nothing is imported here: many modules need a source location alone. Start at `template_reader.PackerTemplateReader`.
"""
