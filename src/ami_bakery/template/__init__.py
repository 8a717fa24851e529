"""Reads Packer templates by Packer's rules, without running Packer. Templates are HCL2 or legacy JSON.

Nothing is imported here: many modules need a source location alone. Start at `template_reader.PackerTemplateReader`.
"""
