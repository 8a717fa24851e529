"""Names of files that a bake writes next to the definition. They are neither inputs nor changes of the work tree."""

from __future__ import annotations

PACKERS_OUTPUTS = ("packer_cache", "crash.log", "packer-manifest.json")
"""Files that Packer and its manifest post-processor write into the working directory."""
ANSWER_FILE = ".ami_id.json"
"""The file that drop-in mode writes into the template's folder."""
