"""Names of files that ami-bakery and Packer write next to the definition. They are no changes of the work tree."""

from __future__ import annotations

PACKERS_OUTPUTS = ("packer_cache", "crash.log", "packer-manifest.json")
"""Files that Packer and its manifest post-processor write into the working directory."""
ANSWER_FILE = ".ami_id.json"
"""The file that drop-in mode writes into the template's folder."""
REPORT_FILE = "ami-bakery-report.html"
"""The file that `report` writes into the working directory. Unlike the others, it can be an input."""
