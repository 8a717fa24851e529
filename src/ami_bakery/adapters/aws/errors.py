"""What AWS, or the way to it, answers when it refuses: each as a message of three parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ami_bakery.adapters.aws.sdk_settings import Settings
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.core.text.suggestions import nearest
from ami_bakery.errors import DENIED, AwsError, BakeryError, UsageError
from ami_bakery.values import Frozen, field

_CREDENTIALS = "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role."
_RENEW = "Get new credentials (for example `aws sso login`), then run again: finished work is found, not done twice."
_LATER = "Wait a little and run again: finished work is found, not done twice."

_BY_CODE = {
    "AuthFailure": f"The credentials are not valid in this region or account. {_CREDENTIALS}",
    "InvalidClientTokenId": f"The access key is not known to AWS. {_CREDENTIALS}",
    "UnrecognizedClientException": f"The access key is not known to AWS. {_CREDENTIALS}",
    "SignatureDoesNotMatch": "The secret access key does not belong to the access key: correct it.",
    "OptInRequired": "Enable this region for the account, or take it out of `regions`.",
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "RequestExpired": f"The credentials, or this machine's clock, are out of date. {_RENEW}",
    "RequestLimitExceeded": f"The account makes too many calls. {_LATER}",
    "Throttling": f"The account makes too many calls. {_LATER}",
    "Unavailable": _LATER,
    "InternalError": _LATER,
    "InternalFailure": _LATER,
    "ServiceUnavailable": _LATER,
    "ServerInternal": _LATER,
    **dict.fromkeys(("500", "502", "503", "504"), _LATER),
    "InvalidAMIAttributeItemValue": "Correct `share_with`: EC2 knows no such account.",
    "TagPolicyViolation": "The organization demands other tags: correct `tags` in bakery.toml, or the template's.",
    "ParameterNotFound": "Correct the name of the parameter, or the region.",
}
_DEFAULT_KEY = re.compile(r"(?i)encrypted .*(can.?t|cannot) be shared")
"""EC2 has two codes and wordings for it: one for AMIs, one for snapshots."""
_OWN_KEY = (
    "Only what is encrypted with a KMS key of your own can be shared, and that key must be shared, too: name one in "
    "`kms_key` for copies, and in the template (kms_key_id) for the region of the bake, or take it out of `share_with`."
)


class AwsCall(Frozen):
    """What is being asked: `doing` as a clause, and which service and action of which region it takes."""

    doing: str
    service: str
    action: str
    region: str
    known_regions: Sequence[str] = ()
    settings: Settings = field(default_factory=Settings, repr=False)


@contextmanager
def explained(call: AwsCall) -> Iterator[None]:
    """Turns whatever botocore raises into `AwsError`, or `UsageError` where a setting is wrong; a bug of ours stays.

    None of them is chained to what it came from: that may hold a header's value, which is a secret.
    """
    import botocore.exceptions as boto
    from botocore import parsers

    from ami_bakery.adapters.aws.credential_errors import is_foreign, trouble

    doing = f"{call.doing} in {call.region}" if call.region else call.doing
    try:
        yield
    except BakeryError:
        raise
    except boto.ClientError as error:
        raise _refused(call, doing, error) from error
    except (parsers.ResponseParserError, LookupError) as error:
        if (found := trouble(error, call.settings)) is not None:
            raise AwsError(doing, found.wrong, found.todo, code=found.code) from None
        # Not an answer, or one that lacks what the API reference promises: a captive portal, or half of an answer.
        wrong = f"what came back is no answer of {call.service} to {call.action} ({_shown(error)})"
        raise AwsError(doing, wrong, _unreachable(call), code="NoAnswer") from error
    except Exception as error:
        if not isinstance(error, boto.BotoCoreError) and not is_foreign(error):
            raise
        raise _translated(call, doing, error) from None


def _translated(call: AwsCall, doing: str, error: Exception) -> BakeryError:
    import botocore.exceptions as boto

    from ami_bakery.adapters.aws.credential_errors import trouble

    settings = call.settings
    found = trouble(error, settings)
    if found is not None:
        return AwsError(doing, found.wrong, found.todo, code=found.code)
    text = one_line(settings.masked(str(error)))
    match error:
        case boto.NoCredentialsError() | boto.PartialCredentialsError():
            return AwsError(doing, text, _CREDENTIALS, code="NoCredentials")
        case boto.TokenRetrievalError() | boto.UnauthorizedSSOTokenError() | boto.SSOError():
            return AwsError(doing, f"{text} (profile {settings.profile})", _RENEW, code="ExpiredToken")
        case boto.CredentialRetrievalError():
            return AwsError(doing, text, _CREDENTIALS, code="NoCredentials")
        case boto.InvalidRegionError():
            return UsageError(doing, text, "Correct the name of the region.")
        case boto.HTTPClientError() | boto.ConnectionError():
            return _not_reached(call, doing, error, text)
        case ValueError() | boto.ProfileNotFound() | boto.ConfigParseError():
            return UsageError(doing, text, _correct(settings, text))
        case boto.BotoCoreError() if settings.blamed(text) or isinstance(error, boto.InvalidConfigError):
            return UsageError(doing, text, _correct(settings, text))
        case boto.BotoCoreError():
            return AwsError(doing, text, _LATER)
    wrong = f"the AWS SDK could not make the request: {type(error).__name__}"
    return AwsError(doing, wrong, f"Look at the credentials and settings of the profile {settings.profile}.")


def _correct(settings: Settings, text: str) -> str:
    """What setting to correct, by its name."""
    blamed = settings.blamed(text)
    if "AWS_PROFILE" in blamed or "AWS_DEFAULT_PROFILE" in blamed:
        name = "AWS_PROFILE" if "AWS_PROFILE" in blamed else "AWS_DEFAULT_PROFILE"
        return f"Correct {name}, or add the profile to {settings.config_file}."
    if "ca bundle" in text.lower() and (named := settings.certificates()) is not None:
        return f"Correct {named[0]}, or leave it out."
    files = f"{settings.config_file} and {settings.credentials_file}"
    return f"Correct {', '.join(blamed)}." if blamed else f"Correct the AWS settings in the environment, {files}."


def _not_reached(call: AwsCall, doing: str, error: Exception, text: str) -> BakeryError:
    inner = getattr(error, "kwargs", {}).get("error")
    if isinstance(inner, ValueError) and "header" in str(inner).lower():
        # Its words have the value.
        wrong = "a credential holds a character that no HTTP header may have, such as a line break (\\r or \\n)"
        todo = f"Look at what gives the credentials: the environment, or the profile {call.settings.profile}."
        return AwsError(doing, wrong, todo, code="NoCredentials")
    if (unloadable := _unloadable_certificates(call.settings)) is not None:
        return UsageError(doing, *unloadable)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        named = call.settings.certificates()
        todo = (
            f"Let {named[0] if named else 'AWS_CA_BUNDLE'} name a file with the authority that signs here (a proxy's?)."
        )
        return AwsError(doing, text, todo, code="Unreachable")
    proxies = call.settings.proxies()
    if type(inner).__name__ == "LocationParseError" and proxies:
        return UsageError(doing, text, f"Correct {', '.join(proxies)}: such as http://proxy.example:3128.")
    return AwsError(doing, text, _unreachable(call), code="Unreachable")


def _unloadable_certificates(settings: Settings) -> tuple[str, str] | None:
    """What is wrong with the file of certificate authorities, and what to do."""
    named = settings.certificates()
    if named is None:
        return None
    import ssl

    setting, path = named
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        wrong = f"the certificate authorities of {setting} cannot be loaded: {reason}: {one_line(path)}"
        return wrong, f"Correct {setting}, or leave it out."
    return None


_GIVES_CREDENTIALS = frozenset(
    {
        *("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "GetFederationToken", "GetSessionToken"),
        *("GetRoleCredentials", "CreateToken", "CreateOAuth2Token"),
    }
)
"""Operations that botocore calls by itself, to get the credentials for what was asked."""
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")


def _refused(call: AwsCall, doing: str, error: Exception) -> BakeryError:
    details = getattr(error, "response", {}).get("Error", {})
    code = str(details.get("Code", ""))
    message = call.settings.masked(one_line(str(details.get("Message", "")).strip())) or "no message"
    operation = str(getattr(error, "operation_name", call.action))
    if operation in _GIVES_CREDENTIALS and operation != call.action:
        return _no_role(call.settings, doing, operation, code, message)
    wrong = f"{call.service} answered {code} to {call.action}: {_shortened(message)}"
    if code in DENIED:
        todo = f"Allow the action {call.service.lower()}:{call.action} for these credentials."
    elif _DEFAULT_KEY.search(message):
        todo = _OWN_KEY
    else:
        todo = _BY_CODE.get(code, "Look the code up in the EC2 API reference, then run again.")
    return AwsError(doing, wrong, todo, code=code)


def _no_role(settings: Settings, doing: str, operation: str, code: str, message: str) -> AwsError:
    """The credentials themselves were refused, before EC2 was asked anything."""
    configured = settings.of_profile()
    service = "IAM Identity Center" if operation in ("GetRoleCredentials", "CreateToken") else "STS"
    found = _ROLE.search(message)
    role = found[0] if found else settings.environment.get("AWS_ROLE_ARN") or configured.get("role_arn", "")
    where = "AWS_ROLE_ARN" if "AWS_ROLE_ARN" in settings.environment else f"the profile {settings.profile}"
    wrong = f"{service} answered {code} to {operation}{f' of {role}' if role else ''}: {_shortened(message)}"
    if service != "STS":
        todo = f"Log in again (aws sso login), or correct the account and the role of the profile {settings.profile}."
        return AwsError(doing, wrong, todo, code="NoCredentials")
    subject = role or "the role"
    action = f"sts:{operation}"
    if code in DENIED:
        todo = f"Name these credentials in the trust policy of {subject}, and allow them {action}; or correct {where}."
    elif "Token" in code and operation == "AssumeRoleWithWebIdentity":
        todo = f"Have a new web identity token written, and let the trust policy of {subject} accept its issuer."
    elif code.startswith("ExpiredToken"):
        todo = _RENEW
    else:
        todo = _BY_CODE.get(code, f"Correct {where}, or the trust policy of {subject}.")
    # Not the code itself: what was refused is not what was asked.
    return AwsError(doing, wrong, todo, code="ExpiredToken" if code.startswith("ExpiredToken") else "NoCredentials")


def _shown(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else one_line(str(error)[:120])


def _unreachable(call: AwsCall) -> str:
    if call.known_regions and call.region not in call.known_regions:
        return f"No region of that name is known: correct it{nearest(call.region, call.known_regions)}"
    return "Look at the network and the proxy settings (HTTPS_PROXY), then run again."


def _shortened(message: str) -> str:
    """EC2 adds an encoded message of a thousand characters to a denial; it says nothing to a reader."""
    marker = "Encoded authorization failure message:"
    return message.partition(marker)[0].rstrip() if marker in message else message
