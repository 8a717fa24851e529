"""Explains why botocore has no credentials: the variable, profile, program or file, and the fix.

botocore does not convert exceptions of its credential providers (`RuntimeError`, `FileNotFoundError`, `EOFError`,
`AttributeError`). A frame of the traceback identifies the provider.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from ami_bakery.core.text.sanitize import one_line

if TYPE_CHECKING:
    from types import TracebackType

    from ami_bakery.adapters.aws.sdk_settings import Settings

_LONGEST = 300
_RENEW = "Get new credentials (for example `aws sso login`), then run again. Finished AMIs are reused."
_PACKAGES = ("botocore", "boto3", "urllib3", "dateutil", "s3transfer")


class Diagnosis(NamedTuple):
    """The cause and the fix of a credential failure.

    `wrong` and `todo` are as in `BakeryError`, `code` as in `AwsError`.
    """

    wrong: str
    todo: str
    code: str = "NoCredentials"


class CredentialOrigin(NamedTuple):
    """The source of credentials: botocore's name of the method, and the profile, if known."""

    method: str
    profile: str = ""


def is_foreign(error: BaseException) -> bool:
    """Returns whether the SDK raised the exception. If our code raised it, it is a bug."""
    return any(_package(traceback) in _PACKAGES for traceback in _frames(error))


def origin_of(error: BaseException) -> CredentialOrigin | None:
    """Returns the innermost credential provider in the traceback; None if there is none."""
    found: CredentialOrigin | None = None
    for traceback in _frames(error):
        frame = traceback.tb_frame
        if frame.f_globals.get("__name__") not in ("botocore.credentials", "botocore.tokens"):
            continue
        provider = frame.f_locals.get("self")
        method = (
            _METHODS.get(type(provider).__name__)
            or getattr(provider, "method", None)
            or getattr(provider, "METHOD", None)
        )
        profile = getattr(provider, "_profile_name", None)
        if isinstance(method, str):
            found = CredentialOrigin(method, profile if isinstance(profile, str) else "")
    return found


_METHODS = {
    "AssumeRoleCredentialFetcher": "assume-role",
    "AssumeRoleWithWebIdentityCredentialFetcher": "assume-role-with-web-identity",
    "FileWebIdentityTokenLoader": "assume-role-with-web-identity",
}


def _frames(error: BaseException) -> list[TracebackType]:
    frames, traceback = [], error.__traceback__
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    return frames


def _package(traceback: TracebackType) -> str:
    return str(traceback.tb_frame.f_globals.get("__name__", "")).partition(".")[0]


def diagnose(error: Exception, settings: Settings) -> Diagnosis | None:
    """Returns the diagnosis of a credential failure; None if credentials are not the known cause."""
    origin = origin_of(error)
    if origin is None:
        return None
    profile = origin.profile or settings.profile
    match origin.method:
        case "env":
            return _of_environment(error, settings)
        case "custom-process":
            return _of_program(error, f"the credential_process of the profile {profile} ({settings.config_file})")
        case "assume-role-with-web-identity" if isinstance(error, OSError):
            setting = _setting(settings, "AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file", profile)
            return _unreadable(error, "the web identity token", setting)
        case "container-role":
            return _of_container(error, settings)
        case "assume-role" if isinstance(error, EOFError):
            return _of_mfa(settings, profile)
    return _of_anything(error, origin, profile, settings)


def _setting(settings: Settings, variable: str, key: str, profile: str) -> str:
    return variable if variable in settings.environment else f"{key} of the profile {profile} ({settings.config_file})"


def _of_environment(error: Exception, settings: Settings) -> Diagnosis | None:
    name = "AWS_CREDENTIAL_EXPIRATION"
    if name not in settings.environment or not isinstance(error, RuntimeError | ValueError | OverflowError):
        return None
    shown = one_line(settings.environment[name][:40])
    if isinstance(error, RuntimeError):
        return Diagnosis(
            f"the credentials in the environment have expired: {name} is {shown}",
            f"Get new credentials, or unset {name} if it belongs to older credentials.",
            "ExpiredToken",
        )
    return Diagnosis(
        f"{name} is not a date: {shown!r}", f"Set {name} to a date such as 2026-01-31T12:00:00Z, or unset it."
    )


def _of_program(error: Exception, program: str) -> Diagnosis:
    wrong, code = "", "NoCredentials"
    match error:
        case FileNotFoundError():
            wrong = f"{program} names a program that does not exist: {error.filename}"
        case OSError():
            wrong = f"{program} could not be started: {error.strerror}: {error.filename}"
        case RuntimeError():
            wrong, code = f"{program} returned expired credentials", "ExpiredToken"
        case json.JSONDecodeError() | UnicodeDecodeError() | AttributeError() | TypeError():
            wrong = f"{program} did not print a JSON document with credentials"
        case ValueError() if "quotation" in str(error):
            wrong = f"{program} is a command line with an unclosed quote"
        case ValueError() | OverflowError():
            wrong = f"{program} returned an Expiration that is not a date"
        case _:
            words = str(getattr(error, "kwargs", {}).get("error_msg", "")).strip() or type(error).__name__
            wrong = f"{program} failed: {one_line(words)[-_LONGEST:]}"
    return Diagnosis(wrong, "Run that command by hand and fix it; log in again if it asks for a login.", code)


def _unreadable(error: OSError, what: str, setting: str) -> Diagnosis:
    reason = error.strerror or type(error).__name__
    return Diagnosis(
        f"{what} cannot be read: {reason}: {error.filename} ({setting})",
        f"Correct {setting.partition(' ')[0]}, or write the file before you run the command.",
    )


def _of_container(error: Exception, settings: Settings) -> Diagnosis:
    file, token = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN"
    if isinstance(error, OSError):
        return _unreadable(error, "the token for the container's credentials", file)
    address = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    if address not in settings.environment:
        address = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
    if isinstance(error, ValueError) and "legal header" in str(error):
        where = file if file in settings.environment else token
        return Diagnosis(f"{where} contains a line break", f"Remove the line break from {where}.")
    if isinstance(error, RuntimeError):
        wrong = f"the endpoint in {address} returned expired credentials"
        return Diagnosis(wrong, "Check the service at that endpoint.", "ExpiredToken")
    words = str(getattr(error, "kwargs", {}).get("error_msg", "")) or str(error)
    wrong = f"the endpoint in {address} returned no credentials: {settings.masked(one_line(words)[:_LONGEST])}"
    return Diagnosis(wrong, f"Correct {address}, or check the service at that endpoint.")


def _of_mfa(settings: Settings, profile: str) -> Diagnosis:
    return Diagnosis(
        f"the profile {profile} ({settings.config_file}) has an mfa_serial, and there is no terminal to ask for a code",
        "Run the command in a terminal, or set the credentials from `aws sts get-session-token` in the environment.",
    )


def _of_anything(error: Exception, origin: CredentialOrigin, profile: str, settings: Settings) -> Diagnosis | None:
    """Diagnoses the other exceptions; None for those of botocore that have a clear message."""
    import botocore.exceptions as boto

    if isinstance(error, boto.ClientError | boto.HTTPClientError):
        return None
    where = f"the profile {profile} ({settings.config_file})"
    if isinstance(error, RuntimeError):
        return Diagnosis(f"the credentials ({origin.method}, {where}) have expired", _RENEW, "ExpiredToken")
    if isinstance(error, boto.BotoCoreError):
        return None
    if isinstance(error, OSError) and error.filename:
        return Diagnosis(f"{error.strerror}: {error.filename} ({origin.method}, {where})", f"Correct {where}.")
    return Diagnosis(
        f"the credentials cannot be read ({origin.method}, {where}): {type(error).__name__}", f"Correct {where}."
    )
