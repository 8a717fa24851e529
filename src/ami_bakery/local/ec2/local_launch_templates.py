"""moto's launch templates, with versions that can be deleted."""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import InvalidLaunchTemplateVersionNotFound
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion


class LocalLaunchTemplate(LaunchTemplate):
    """moto's launch template. The number of a deleted version is not used again."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._last_number = 0
        super().__init__(*arguments, **options)

    def create_version(self, data: dict[str, Any], description: str) -> LaunchTemplateVersion:
        self._last_number += 1
        version = LaunchTemplateVersion(self, self._last_number, data, description)
        self.versions.append(version)
        return version

    def get_version(self, num: Any) -> LaunchTemplateVersion:
        """Returns a version by its number, `$Latest` or `$Default`."""
        if str(num) == "$Latest":
            return self.versions[-1]
        wanted = str(self.default_version_number) if str(num) == "$Default" else str(num)
        for version in self.versions:
            if str(version.number) == wanted:
                return version
        raise InvalidLaunchTemplateVersionNotFound(template_id=self.id, version=num)

    def default_version(self) -> LaunchTemplateVersion:
        return self.get_version(self.default_version_number)

    def newest(self, depth: int) -> list[LaunchTemplateVersion]:
        """Returns the `depth` newest versions, newest first."""
        return self.versions[::-1][:depth]
