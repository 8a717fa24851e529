"""Finds the AWS account of a builder with its own credentials.

The builder builds in that account. Sources: the ARN of a role, `sts:GetCallerIdentity` for access keys, and AWS's
configuration files for a profile. A `credential_process` is never started: the template chooses the profile, and
planning starts no program for a template.
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
"""In Packer versions before this, keys in the environment override a profile (tested with 1.6.6)."""
_PROFILE_FIRST = (1, 16)
"""From this Packer version on, a profile overrides the keys (tested with 1.16.0 and the amazon plugin 1.8.2)."""
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


class Keys(Frozen):
    """Access keys of an account; temporary keys have a `token`."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


class AccountFinder(Frozen):
    """Finds a builder's account.

    own_account      returns the account of the environment's credentials, according to STS
    account_of_keys  returns the account of other access keys, according to STS
    """

    environment: Mapping[str, str] = field(repr=False)
    own_account: Callable[[], str]
    account_of_keys: Callable[[Keys], str]

    def find(self, login: Login, packer: str) -> BuilderAccount:
        try:
            return self._lookup(login, packer)
        except AwsError as error:
            return BuilderAccount(unknown=str(error))
        except BakeryError as error:
            return BuilderAccount(unknown=error.wrong)

    def _lookup(self, login: Login, packer: str) -> BuilderAccount:
        if login.role:
            # The role's account counts, not the account of the credentials that assume it.
            return _of_role(login.role, f"{login.named[0]} of the builder")
        if login.unknown:
            return BuilderAccount(unknown=login.unknown)
        if login.access_key and login.secret_key:
            keys = Keys(access_key=login.access_key, secret_key=login.secret_key, token=login.token)
            return BuilderAccount(accounts=frozenset({self.account_of_keys(keys)}))
        if login.profile or login.credentials_file:
            return self._of_login_profile(login, packer)
        return BuilderAccount(accounts=frozenset({self.own_account()}))

    def _of_login_profile(self, login: Login, packer: str) -> BuilderAccount:
        has_keys = bool(self.environment.get("AWS_ACCESS_KEY_ID") and self.environment.get("AWS_SECRET_ACCESS_KEY"))
        version = _version(packer)
        if has_keys and version < _ENVIRONMENT_FIRST:
            return BuilderAccount(accounts=frozenset({self.own_account()}))
        file = login.credentials_file
        changes = {"AWS_SHARED_CREDENTIALS_FILE": file} if file else {}
        settings = Settings(environment={**self.environment, **changes})
        found = self._of_settings(settings, login.profile or settings.profile)
        if not has_keys or version >= _PROFILE_FIRST:
            return found
        why = "Packer's amazon plugin may use the keys in the environment, or the profile"
        return BuilderAccount(accounts=found.accounts | {self.own_account()}, unknown=found.unknown or why)

    def _of_settings(self, settings: Settings, profile: str) -> BuilderAccount:
        values = settings.of_profile(profile)
        where = f"the profile {profile}"
        if "role_arn" in values:
            return _of_role(values["role_arn"], where)
        if "sso_account_id" in values:
            return BuilderAccount(accounts=frozenset({values["sso_account_id"]}))
        if values.get("aws_access_key_id") and values.get("aws_secret_access_key"):
            keys = Keys(
                access_key=values["aws_access_key_id"],
                secret_key=values["aws_secret_access_key"],
                token=values.get("aws_session_token", ""),
            )
            return BuilderAccount(accounts=frozenset({self.account_of_keys(keys)}))
        if "credential_process" in values:
            return BuilderAccount(unknown=f"{where} has a credential_process, which planning does not run")
        files = f"{settings.config_file} and {settings.credentials_file}"
        return BuilderAccount(unknown=f"{files} have no setting of {where} that determines its account")


def _of_role(arn: str, where: str) -> BuilderAccount:
    found = _ROLE.fullmatch(arn)
    if found is None:
        return BuilderAccount(unknown=f"{where} names a role that is not an IAM role ARN")
    return BuilderAccount(accounts=frozenset({found["account"]}))


def _version(packer: str) -> tuple[int, int]:
    """Returns (major, minor); (0, 0) for malformed text, which no supported Packer prints."""
    found = _NUMBERS.match(packer)
    return (int(found[1]), int(found[2])) if found else (0, 0)
