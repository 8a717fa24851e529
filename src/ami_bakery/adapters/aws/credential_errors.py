"""Why botocore has no credentials: which variable, profile, program or file, and what to do about it.

botocore lets whatever it meets through (`RuntimeError`, `FileNotFoundError`, `EOFError`, `AttributeError`). Where it
was raised is known for certain from its traceback: the provider of the credentials is among the frames.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from ami_bakery.core.text.sanitize import one_line

if TYPE_CHECKING:
    from types import TracebackType

    from ami_bakery.adapters.aws.sdk_settings import Settings

_LONGEST = 300
_RENEW = "Get new credentials (for example `aws sso login`), then run again: finished work is found, not done twice."
_PACKAGES = ("botocore", "boto3", "urllib3", "dateutil", "s3transfer")


class Trouble(NamedTuple):
    wrong: str
    todo: str
    code: str = "NoCredentials"


class CredentialOrigin(NamedTuple):
    """What gave the credentials: botocore's name of the method, and the profile where that is known."""

    method: str
    profile: str = ""


def is_foreign(error: BaseException) -> bool:
    """Whether it was raised by the SDK: what we raise ourselves is a bug."""
    return any(_package(traceback) in _PACKAGES for traceback in _frames(error))


def origin_of(error: BaseException) -> CredentialOrigin | None:
    """The innermost provider of credentials on the way to the exception; None where none is."""
    found: CredentialOrigin | None = None
    for traceback in _frames(error):
        frame = traceback.tb_frame
        if frame.f_globals.get("__name__") not in ("botocore.credentials", "botocore.tokens"):
            continue
        me = frame.f_locals.get("self")
        method = _METHODS.get(type(me).__name__) or getattr(me, "method", None) or getattr(me, "METHOD", None)
        profile = getattr(me, "_profile_name", None)
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


def trouble(error: Exception, settings: Settings) -> Trouble | None:
    """None where the credentials are not to blame, as far as it can be seen."""
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


def _of_environment(error: Exception, settings: Settings) -> Trouble | None:
    name = "AWS_CREDENTIAL_EXPIRATION"
    if name not in settings.environment or not isinstance(error, RuntimeError | ValueError | OverflowError):
        return None
    shown = one_line(settings.environment[name][:40])
    if isinstance(error, RuntimeError):
        return Trouble(
            f"the credentials in the environment have expired: {name} is {shown}",
            f"Get new credentials, or unset {name} if it is left from older ones.",
            "ExpiredToken",
        )
    return Trouble(f"{name} is no date: {shown!r}", f"Correct {name}, such as 2026-01-31T12:00:00Z, or unset it.")


def _of_program(error: Exception, program: str) -> Trouble:
    wrong, code = "", "NoCredentials"
    match error:
        case FileNotFoundError():
            wrong = f"{program} names a program that is not there: {error.filename}"
        case OSError():
            wrong = f"{program} could not be started: {error.strerror}: {error.filename}"
        case RuntimeError():
            wrong, code = f"{program} gave credentials that have expired", "ExpiredToken"
        case json.JSONDecodeError() | UnicodeDecodeError() | AttributeError() | TypeError():
            wrong = f"{program} printed no JSON document with credentials"
        case ValueError() if "quotation" in str(error):
            wrong = f"{program} is a command line with a quotation that does not end"
        case ValueError() | OverflowError():
            wrong = f"{program} gave an Expiration that is no date"
        case _:
            words = str(getattr(error, "kwargs", {}).get("error_msg", "")).strip() or type(error).__name__
            wrong = f"{program} failed: {one_line(words)[-_LONGEST:]}"
    return Trouble(wrong, "Run that command by hand and correct it, or log in again where it asks for that.", code)


def _unreadable(error: OSError, what: str, setting: str) -> Trouble:
    reason = error.strerror or type(error).__name__
    return Trouble(
        f"{what} cannot be read: {reason}: {error.filename} ({setting})",
        f"Correct {setting.partition(' ')[0]}, or have the file written before the program starts.",
    )


def _of_container(error: Exception, settings: Settings) -> Trouble:
    file, token = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN"
    if isinstance(error, OSError):
        return _unreadable(error, "the token for the container's credentials", file)
    address = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    if address not in settings.environment:
        address = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
    if isinstance(error, ValueError) and "legal header" in str(error):
        where = file if file in settings.environment else token
        return Trouble(f"{where} holds a line break, which no token has", f"Take the line break out of {where}.")
    if isinstance(error, RuntimeError):
        wrong = f"the address of {address} gave credentials that have expired"
        return Trouble(wrong, "Look at what answers there.", "ExpiredToken")
    words = str(getattr(error, "kwargs", {}).get("error_msg", "")) or str(error)
    wrong = f"the address of {address} gave no credentials: {settings.masked(one_line(words)[:_LONGEST])}"
    return Trouble(wrong, f"Correct {address}, or look at what answers there.")


def _of_mfa(settings: Settings, profile: str) -> Trouble:
    return Trouble(
        f"the profile {profile} ({settings.config_file}) has an mfa_serial, and there is no terminal to ask for a code",
        "Run it at a terminal, or get credentials before (aws sts get-session-token) and set them in the environment.",
    )


def _of_anything(error: Exception, origin: CredentialOrigin, profile: str, settings: Settings) -> Trouble | None:
    """Known exceptions of botocore have words of their own."""
    import botocore.exceptions as boto

    if isinstance(error, boto.ClientError | boto.HTTPClientError):
        return None
    where = f"the profile {profile} ({settings.config_file})"
    if isinstance(error, RuntimeError):
        return Trouble(f"the credentials ({origin.method}, {where}) have expired", _RENEW, "ExpiredToken")
    if isinstance(error, boto.BotoCoreError):
        return None
    if isinstance(error, OSError) and error.filename:
        return Trouble(f"{error.strerror}: {error.filename} ({origin.method}, {where})", f"Correct {where}.")
    return Trouble(
        f"the credentials cannot be read ({origin.method}, {where}): {type(error).__name__}", f"Correct {where}."
    )
