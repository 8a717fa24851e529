"""Turns AWS errors and connection errors into messages with a fix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ami_bakery.adapters.aws.error_codes import aws_error, is_denial
from ami_bakery.adapters.aws.sdk_settings import Settings
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.core.text.suggestions import nearest
from ami_bakery.errors import AwsError, BakeryError, UsageError
from ami_bakery.values import Frozen, field

_CREDENTIALS = "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or attach an IAM role to the machine."
_RENEW = "Get new credentials (for example `aws sso login`), then run again. Finished AMIs are reused."
_LATER = "Wait a moment and run again. Finished AMIs are reused."

_BY_CODE = {
    "AuthFailure": f"The credentials are not valid in this region or account. {_CREDENTIALS}",
    "InvalidClientTokenId": f"AWS does not know the access key. {_CREDENTIALS}",
    "UnrecognizedClientException": f"AWS does not know the access key. {_CREDENTIALS}",
    "SignatureDoesNotMatch": "The secret access key does not match the access key. Correct it.",
    "OptInRequired": "Enable this region for the account, or remove it from `regions`.",
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "RequestExpired": f"The credentials have expired, or this machine's clock is wrong. {_RENEW}",
    "RequestLimitExceeded": f"The account has reached an API rate limit. {_LATER}",
    "Throttling": f"The account has reached an API rate limit. {_LATER}",
    "Unavailable": _LATER,
    "InternalError": _LATER,
    "InternalFailure": _LATER,
    "ServiceUnavailable": _LATER,
    "ServerInternal": _LATER,
    **dict.fromkeys(("500", "502", "503", "504"), _LATER),
    "InvalidAMIAttributeItemValue": "Correct `share_with`: EC2 does not know that account.",
    "TagPolicyViolation": "A tag policy rejects the tags. Correct `tags` in bakery.toml or the template.",
    "ParameterNotFound": "Correct the name of the parameter, or the region.",
    "ParameterLimitExceeded": "Delete parameters that are not needed, or ask AWS for a higher quota.",
    "ThrottlingException": f"The account has reached an API rate limit. {_LATER}",
    "TooManyUpdates": f"Another write of this parameter is in progress. {_LATER}",
}
_DEFAULT_KEY = re.compile(r"(?i)encrypted .*(can.?t|cannot) be shared")
"""EC2 has two codes and two messages for this: one for AMIs, one for snapshots."""
_DENIED_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
_OWN_KEY = (
    "To share encrypted AMIs, use a customer managed KMS key, and share that key too. Set it as `kms_key` for copies, "
    "and as `kms_key_id` in the template for the region of the build; or remove the accounts from `share_with`."
)


class AwsCall(Frozen):
    """An AWS API call: its purpose (`doing`, a clause), service, action and region."""

    doing: str
    service: str
    action: str
    region: str
    known_regions: Sequence[str] = ()
    settings: Settings = field(default_factory=Settings, repr=False)


@contextmanager
def explained(call: AwsCall) -> Iterator[None]:
    """Converts botocore's exceptions to `AwsError`, or to `UsageError` for wrong settings.

    Our own exceptions pass through. Exceptions other than `ClientError` are not chained, because they can contain the
    value of a header, which is a secret.
    """
    import botocore.exceptions as boto
    from botocore import parsers

    from ami_bakery.adapters.aws.credential_errors import diagnose, is_foreign

    doing = f"{call.doing} in {call.region}" if call.region else call.doing
    try:
        yield
    except BakeryError:
        raise
    except boto.ClientError as error:
        raise _refused(call, doing, error) from error
    except (parsers.ResponseParserError, LookupError) as error:
        if (found := diagnose(error, call.settings)) is not None:
            raise aws_error(doing, found.wrong, found.todo, code=found.code) from None
        # A captive portal's page, or a truncated response.
        wrong = f"the response is not a valid {call.service} response to {call.action} ({_shown(error)})"
        raise aws_error(doing, wrong, _unreachable(call), code="NoAnswer") from error
    except Exception as error:
        if not isinstance(error, boto.BotoCoreError) and not is_foreign(error):
            raise
        raise _translated(call, doing, error) from None


def _translated(call: AwsCall, doing: str, error: Exception) -> BakeryError:
    import botocore.exceptions as boto

    from ami_bakery.adapters.aws.credential_errors import diagnose

    settings = call.settings
    found = diagnose(error, settings)
    if found is not None:
        return aws_error(doing, found.wrong, found.todo, code=found.code)
    text = one_line(settings.masked(str(error)))
    match error:
        case boto.NoCredentialsError() | boto.PartialCredentialsError():
            return aws_error(doing, text, _CREDENTIALS, code="NoCredentials")
        case boto.TokenRetrievalError() | boto.UnauthorizedSSOTokenError() | boto.SSOError():
            return aws_error(doing, f"{text} (profile {settings.profile})", _RENEW, code="ExpiredToken")
        case boto.CredentialRetrievalError():
            return aws_error(doing, text, _CREDENTIALS, code="NoCredentials")
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
    return AwsError(doing, wrong, f"Check the credentials and settings of the profile {settings.profile}.")


def _correct(settings: Settings, text: str) -> str:
    """Returns a sentence that names the setting to correct."""
    blamed = settings.blamed(text)
    if "AWS_PROFILE" in blamed or "AWS_DEFAULT_PROFILE" in blamed:
        name = "AWS_PROFILE" if "AWS_PROFILE" in blamed else "AWS_DEFAULT_PROFILE"
        return f"Correct {name}, or add the profile to {settings.config_file}."
    if "ca bundle" in text.lower() and (named := settings.certificates()) is not None:
        return f"Correct {named[0]}, or remove it."
    files = f"{settings.config_file} and {settings.credentials_file}"
    return f"Correct {', '.join(blamed)}." if blamed else f"Correct the AWS settings in the environment, {files}."


def _not_reached(call: AwsCall, doing: str, error: Exception, text: str) -> BakeryError:
    inner = getattr(error, "kwargs", {}).get("error")
    if isinstance(inner, ValueError) and "header" in str(inner).lower():
        # The exception's message contains the value.
        wrong = "a credential contains a character that HTTP headers do not allow, such as a line break (\\r or \\n)"
        todo = f"Check the source of the credentials: the environment, or the profile {call.settings.profile}."
        return aws_error(doing, wrong, todo, code="NoCredentials")
    if (unloadable := _unloadable_certificates(call.settings)) is not None:
        return UsageError(doing, *unloadable)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        named = call.settings.certificates()
        todo = (
            f"Set {named[0] if named else 'AWS_CA_BUNDLE'} to a file with the CA certificate that signs this "
            "connection, such as your proxy's."
        )
        return aws_error(doing, text, todo, code="Unreachable")
    proxies = call.settings.proxies()
    if type(inner).__name__ == "LocationParseError" and proxies:
        return UsageError(doing, text, f"Correct {', '.join(proxies)}. Example: http://proxy.example:3128")
    return aws_error(doing, text, _unreachable(call), code="Unreachable")


def _unloadable_certificates(settings: Settings) -> tuple[str, str] | None:
    """Returns the CA bundle's problem and the fix; None if there is none."""
    named = settings.certificates()
    if named is None:
        return None
    import ssl

    setting, path = named
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        reason = "it contains no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        wrong = f"the CA bundle in {setting} cannot be loaded: {reason}: {one_line(path)}"
        return wrong, f"Correct {setting}, or remove it."
    return None


_GIVES_CREDENTIALS = frozenset(
    {
        *("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "GetFederationToken", "GetSessionToken"),
        *("GetRoleCredentials", "CreateToken", "CreateOAuth2Token"),
    }
)
"""Operations that botocore calls by itself, to get credentials for the requested call."""
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")


def _refused(call: AwsCall, doing: str, error: Exception) -> BakeryError:
    details = getattr(error, "response", {}).get("Error", {})
    code = str(details.get("Code", ""))
    message = call.settings.masked(one_line(str(details.get("Message", "")).strip())) or "no message"
    operation = str(getattr(error, "operation_name", call.action))
    if operation in _GIVES_CREDENTIALS and operation != call.action:
        return _no_role(call.settings, doing, operation, code, message)
    wrong = f"{call.service} answered {code} to {call.action}: {_shortened(message)}"
    if is_denial(code):
        # The message may name another action, which AWS calls for this one.
        named = _DENIED_ACTION.search(message)
        todo = (
            f"Allow the action {named[1] if named else f'{call.service.lower()}:{call.action}'} for these credentials."
        )
    elif _DEFAULT_KEY.search(message):
        todo = _OWN_KEY
    else:
        todo = _BY_CODE.get(code, "Look up the error code in the EC2 API reference, fix the cause, then run again.")
    return aws_error(doing, wrong, todo, code=code)


def _no_role(settings: Settings, doing: str, operation: str, code: str, message: str) -> AwsError:
    """Explains that STS or IAM Identity Center gave the call no credentials."""
    configured = settings.of_profile()
    service = "IAM Identity Center" if operation in ("GetRoleCredentials", "CreateToken") else "STS"
    found = _ROLE.search(message)
    role = found[0] if found else settings.environment.get("AWS_ROLE_ARN") or configured.get("role_arn", "")
    where = "AWS_ROLE_ARN" if "AWS_ROLE_ARN" in settings.environment else f"the profile {settings.profile}"
    wrong = f"{service} answered {code} to {operation}{f' of {role}' if role else ''}: {_shortened(message)}"
    if service != "STS":
        todo = f"Log in again (aws sso login), or correct the account and role of the profile {settings.profile}."
        return aws_error(doing, wrong, todo, code="NoCredentials")
    subject = role or "the role"
    action = f"sts:{operation}"
    if is_denial(code):
        todo = f"Allow {action} for these credentials, also in the trust policy of {subject}; or correct {where}."
    elif "Token" in code and operation == "AssumeRoleWithWebIdentity":
        todo = f"Get a new web identity token, and check that the trust policy of {subject} accepts its issuer."
    elif code.startswith("ExpiredToken"):
        todo = _RENEW
    else:
        todo = _BY_CODE.get(code, f"Correct {where}, or the trust policy of {subject}.")
    # Not AWS's code: it is about AssumeRole, not about the requested call.
    return aws_error(doing, wrong, todo, code="ExpiredToken" if code.startswith("ExpiredToken") else "NoCredentials")


def _shown(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else one_line(str(error)[:120])


def _unreachable(call: AwsCall) -> str:
    if call.known_regions and call.region not in call.known_regions:
        return f"Correct the region: AWS has no region of that name{nearest(call.region, call.known_regions)}"
    return "Check the network and the proxy settings (HTTPS_PROXY), then run again."


def _shortened(message: str) -> str:
    """Removes the encoded message that EC2 appends to a denial. It has about 1,000 characters."""
    marker = "Encoded authorization failure message:"
    return message.partition(marker)[0].rstrip() if marker in message else message
