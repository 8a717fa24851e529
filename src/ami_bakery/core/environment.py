"""Which environment variables that a template reads are in the digest without being asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ami_bakery.core.template import TemplateFacts

MACHINE_VARIABLES = frozenset(
    {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
        *("AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN"),
        *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
        *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SUBNET_ID"),
        *("HOME", "USER", "LOGNAME", "HOSTNAME", "PATH", "PWD", "TMPDIR", "SSH_AUTH_SOCK"),
    }
)
"""Environment variables that tell of the runner, not of the image: in the digest only where `env` asks for them."""

_SECRET = re.compile(
    r"(^|_)(TOKEN|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|PRIVATE_KEY|API_KEY|ACCESS_KEY)(_|$)", re.I
)


def why_not_hashed(name: str, facts: TemplateFacts) -> str | None:
    """Why an environment variable that a template reads is left out of the digest unless `env` names it; or None."""
    if name in MACHINE_VARIABLES:
        return "it tells of the machine or the account, not of the image"
    if any(variable.sensitive and name == f"PKR_VAR_{variable.name}" for variable in facts.variables):
        return "the template says that it is sensitive"
    return "it looks like a secret" if _SECRET.search(name) else None
