"""Settings of the AWS SDKs that messages name: variables, profile and files; never secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from ami_bakery.values import Frozen, field

_SECRETS = frozenset(
    {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
        *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"),
    }
)
_PROXIES = frozenset({"http_proxy", "https_proxy", "no_proxy"})
_SHORTEST_SECRET = 4
_STRAY = re.compile(r"[\x00-\x1f\x7f-\x9f]|[\ud800-\udfff]|^\s|\s$")
_NOT_ASCII = re.compile(r"[^\x20-\x7e]")
_NAMES = {"\r": "a carriage return (\\r)", "\n": "a line break (\\n)", "\t": "a tab (\\t)", " ": "a space"}
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


class Settings(Frozen):
    """Settings from the environment and AWS's configuration files, in botocore's order."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def profile(self) -> str:
        return self.environment.get("AWS_PROFILE") or self.environment.get("AWS_DEFAULT_PROFILE") or "default"

    @property
    def config_file(self) -> str:
        return self.environment.get("AWS_CONFIG_FILE") or "~/.aws/config"

    @property
    def credentials_file(self) -> str:
        return self.environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"

    def of_profile(self, profile: str = "") -> Mapping[str, str]:
        """Returns a profile's settings; empty if the files cannot be read or do not define it."""
        from configparser import Error, RawConfigParser

        name = profile or self.profile
        found: dict[str, str] = {}
        for file, section in ((self.config_file, f"profile {name}"), (self.credentials_file, name)):
            parser = RawConfigParser()
            try:
                parser.read(os.path.expanduser(file), encoding="utf-8")
            except (Error, ValueError, OSError):
                continue
            for candidate in (section, "default" if name == "default" else section):
                if parser.has_section(candidate):
                    found |= dict(parser.items(candidate))
        return found

    def stray(self) -> tuple[str, str] | None:
        """Returns the first variable with an invalid character, and the character's description."""
        for name in sorted(self.environment):
            if not (name.startswith("AWS_") or name.lower() in _PROXIES):
                continue
            value = self.environment[name]
            found = _STRAY.search(value) or (_NOT_ASCII.search(value) if name in _SECRETS else None)
            if found is not None:
                return name, f"{_character(found[0])} {_where(found, value)}"
        return None

    def blamed(self, text: str, profile: str = "") -> tuple[str, ...]:
        """Returns the settings that an SDK message mentions by name or value."""
        words = text.lower()
        variables = [name for name in sorted(self.environment) if name.startswith("AWS_") and name not in _SECRETS]
        return (
            *(name for name in variables if _is_about(name.removeprefix("AWS_"), self.environment[name], words)),
            *(
                f"{key} (profile {profile or self.profile})"
                for key, value in self.of_profile(profile).items()
                if not key.startswith("aws_") and _is_about(key, value, words)
            ),
        )

    def certificates(self) -> tuple[str, str] | None:
        """Returns the setting that names the CA bundle, and its path; None for botocore's default."""
        if "AWS_CA_BUNDLE" in self.environment:
            return "AWS_CA_BUNDLE", self.environment["AWS_CA_BUNDLE"]
        named = self.of_profile().get("ca_bundle")
        if named is not None:
            return f"ca_bundle (profile {self.profile} in {self.config_file})", named
        if "REQUESTS_CA_BUNDLE" in self.environment:
            return "REQUESTS_CA_BUNDLE", self.environment["REQUESTS_CA_BUNDLE"]
        return None

    def proxies(self) -> tuple[str, ...]:
        return tuple(name for name in sorted(self.environment) if name.lower() in _PROXIES and self.environment[name])

    def masked(self, text: str) -> str:
        """Returns the text without the environment's secrets, in plain or escaped form."""
        for name in _SECRETS:
            value = self.environment.get(name, "")
            for shown in sorted(_shown_forms(value), key=len, reverse=True):
                if len(shown) >= _SHORTEST_SECRET:
                    text = text.replace(shown, "***")
        return _PASSWORD.sub("***@", text)


def _shown_forms(value: str) -> Iterator[str]:
    yield value
    yield value.strip()
    yield repr(value)[1:-1]
    yield value.encode("unicode_escape").decode("ascii")


def _is_about(name: str, value: str, words: str) -> bool:
    """Returns whether the text contains the setting's name or value. Both match only as whole words."""
    if re.search(rf"\b{re.escape(name.lower())}\b", words):
        return True
    return bool(re.search(rf"(?<![\w.-]){re.escape(value.lower())}(?![\w-]|\.\w)", words)) if value.strip() else False


def _character(found: str) -> str:
    return _NAMES.get(found, f"the character U+{ord(found):04X}")


def _where(found: re.Match[str], value: str) -> str:
    if found.end() == len(value):
        return "at its end"
    return "at its beginning" if found.start() == 0 else "in it"
