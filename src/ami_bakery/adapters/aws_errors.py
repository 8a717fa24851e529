"""What AWS, or the way to it, answers when it refuses: each as a message of three parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ami_bakery.core.printable import one_line
from ami_bakery.core.spelling import nearest
from ami_bakery.errors import DENIED, AwsError, BakeryError, UsageError
from ami_bakery.values import Frozen

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
    "ParameterNotFound": "Correct the name of the parameter, or the region.",
}
_DEFAULT_KEY = re.compile(r"(?i)encrypted .*(can.?t|cannot) be shared")
"""EC2 has two codes and wordings for it: one for AMIs, one for snapshots."""
_OWN_KEY = (
    "Only what is encrypted with a KMS key of your own can be shared, and that key must be shared, too: name one in "
    "`kms_key` for copies, and in the template (kms_key_id) for the region of the bake, or take it out of `share_with`."
)


class Call(Frozen):
    """What is being asked: `doing` as a clause, and which service and action of which region it takes."""

    doing: str
    service: str
    action: str
    region: str
    known_regions: Sequence[str] = ()


@contextmanager
def explained(call: Call) -> Iterator[None]:
    """Turns botocore's exceptions into `AwsError`, or `UsageError` where the environment is to blame."""
    import botocore.exceptions as boto
    from botocore import parsers

    doing = f"{call.doing} in {call.region}" if call.region else call.doing
    try:
        yield
    except boto.ClientError as error:
        raise _refused(call, doing, error) from error
    except (parsers.ResponseParserError, LookupError) as error:
        # Not an answer, or one that lacks what the API reference promises: a captive portal, or half of an answer.
        wrong = f"what came back is no answer of {call.service} to {call.action} ({_shown(error)})"
        raise AwsError(doing, wrong, _unreachable(call), code="NoAnswer") from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
        raise AwsError(doing, str(error), _CREDENTIALS, code="NoCredentials") from error
    except (boto.ProfileNotFound, boto.ConfigParseError, boto.InvalidConfigError) as error:
        raise UsageError(doing, str(error), "Correct AWS_PROFILE or the files in ~/.aws.") from error
    except (boto.TokenRetrievalError, boto.UnauthorizedSSOTokenError, boto.SSOError) as error:
        raise AwsError(doing, str(error), _RENEW, code="ExpiredToken") from error
    except boto.CredentialRetrievalError as error:
        raise AwsError(doing, str(error), _CREDENTIALS, code="NoCredentials") from error
    except boto.InvalidRegionError as error:
        raise UsageError(doing, str(error), "Correct the name of the region.") from error
    except (boto.HTTPClientError, boto.ConnectionError) as error:
        raise AwsError(doing, str(error), _unreachable(call), code="Unreachable") from error
    except ValueError as error:
        # botocore checks some settings late and raises this for them: AWS_ENDPOINT_URL, for one.
        raise UsageError(doing, str(error), "Correct the AWS settings in the environment or in ~/.aws.") from error
    except boto.BotoCoreError as error:
        raise AwsError(doing, str(error), _LATER) from error


def _refused(call: Call, doing: str, error: Exception) -> BakeryError:
    details = getattr(error, "response", {}).get("Error", {})
    code = str(details.get("Code", ""))
    message = str(details.get("Message", "")).strip() or "no message"
    wrong = f"{call.service} answered {code} to {call.action}: {_shortened(message)}"
    if code in DENIED:
        todo = f"Allow the action {call.service.lower()}:{call.action} for these credentials (docs/iam.md)."
    elif _DEFAULT_KEY.search(message):
        todo = _OWN_KEY
    else:
        todo = _BY_CODE.get(code, "Look the code up in the EC2 API reference, then run again.")
    return AwsError(doing, wrong, todo, code=code)


def _shown(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else one_line(str(error)[:120])


def _unreachable(call: Call) -> str:
    if call.known_regions and call.region not in call.known_regions:
        return f"No region of that name is known: correct it{nearest(call.region, call.known_regions)}"
    return "Look at the network and the proxy settings (HTTPS_PROXY), then run again."


def _shortened(message: str) -> str:
    """EC2 adds an encoded message of a thousand characters to a denial; it says nothing to a reader."""
    marker = "Encoded authorization failure message:"
    return message.partition(marker)[0].rstrip() if marker in message else message
