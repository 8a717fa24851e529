"""Which account a builder with credentials of its own builds in, as far as that can be known without running anything.

A role's ARN has its account; keys are asked for it (`sts:GetCallerIdentity`); of a profile AWS's files are read. A
`credential_process` is not run: it is the template that chooses the profile, and planning runs nothing for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ami_bakery.adapters.aws.sdk_settings import Settings
from ami_bakery.errors import AwsError, BakeryError
from ami_bakery.ports import BuilderAccount
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ami_bakery.template.facts import Login

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):role/.+")
_ENVIRONMENT_FIRST = (1, 7)
"""Packer before it: keys in the environment win over a profile (1.6.6 tried)."""
_PROFILE_FIRST = (1, 16)
"""Packer from it on: the profile wins (1.16.0 with the amazon plugin 1.8.2 tried)."""
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


class Keys(Frozen):
    """Of an account; `token` where they are temporary."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


class AccountFinder(Frozen):
    """`ours` and `of_keys` ask STS: whose credentials the environment's are, or some keys."""

    environment: Mapping[str, str] = field(repr=False)
    ours: Callable[[], str]
    of_keys: Callable[[Keys], str]

    def find(self, login: Login, packer: str) -> BuilderAccount:
        try:
            return self._found(login, packer)
        except AwsError as error:
            return BuilderAccount(unknown=str(error))
        except BakeryError as error:
            return BuilderAccount(unknown=error.wrong)

    def _found(self, login: Login, packer: str) -> BuilderAccount:
        if login.role:
            # Whoever assumes it.
            return _of_role(login.role, f"{login.named[0]} of the builder")
        if login.unknown:
            return BuilderAccount(unknown=login.unknown)
        if login.access_key and login.secret_key:
            keys = Keys(access_key=login.access_key, secret_key=login.secret_key, token=login.token)
            return BuilderAccount(accounts=frozenset({self.of_keys(keys)}))
        if login.profile or login.credentials_file:
            return self._of_profile(login, packer)
        return BuilderAccount(accounts=frozenset({self.ours()}))

    def _of_profile(self, login: Login, packer: str) -> BuilderAccount:
        has_keys = bool(self.environment.get("AWS_ACCESS_KEY_ID") and self.environment.get("AWS_SECRET_ACCESS_KEY"))
        version = _version(packer)
        if has_keys and version < _ENVIRONMENT_FIRST:
            return BuilderAccount(accounts=frozenset({self.ours()}))
        file = login.credentials_file
        changes = {"AWS_SHARED_CREDENTIALS_FILE": file} if file else {}
        settings = Settings(environment={**self.environment, **changes})
        found = self._of_settings(settings, login.profile or settings.profile)
        if not has_keys or version >= _PROFILE_FIRST:
            return found
        why = "this Packer's plugin may take the keys of the environment, or the profile"
        return BuilderAccount(accounts=found.accounts | {self.ours()}, unknown=found.unknown or why)

    def _of_settings(self, settings: Settings, profile: str) -> BuilderAccount:
        said = settings.of_profile(profile)
        where = f"the profile {profile}"
        if "role_arn" in said:
            return _of_role(said["role_arn"], where)
        if "sso_account_id" in said:
            return BuilderAccount(accounts=frozenset({said["sso_account_id"]}))
        if said.get("aws_access_key_id") and said.get("aws_secret_access_key"):
            keys = Keys(
                access_key=said["aws_access_key_id"],
                secret_key=said["aws_secret_access_key"],
                token=said.get("aws_session_token", ""),
            )
            return BuilderAccount(accounts=frozenset({self.of_keys(keys)}))
        if "credential_process" in said:
            return BuilderAccount(unknown=f"{where} has a credential_process, which planning does not run")
        files = f"{settings.config_file} and {settings.credentials_file}"
        return BuilderAccount(unknown=f"{files} say nothing of {where} that tells its account")


def _of_role(arn: str, where: str) -> BuilderAccount:
    found = _ROLE.fullmatch(arn)
    if found is None:
        return BuilderAccount(unknown=f"{where} names a role that is no ARN of IAM")
    return BuilderAccount(accounts=frozenset({found["account"]}))


def _version(packer: str) -> tuple[int, int]:
    """(0, 0), which decides nothing, cannot come of a Packer that we start."""
    found = _NUMBERS.match(packer)
    return (int(found[1]), int(found[2])) if found else (0, 0)
