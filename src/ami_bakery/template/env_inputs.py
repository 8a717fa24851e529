"""Decides which environment variables of a template the digest covers by default."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ami_bakery.template.facts import TemplateFacts

MACHINE_VARIABLES = frozenset(
    {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
        *("AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN"),
        *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
        *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SUBNET_ID"),
        *("HOME", "USER", "LOGNAME", "HOSTNAME", "PATH", "PWD", "TMPDIR", "SSH_AUTH_SOCK"),
    }
)
"""Environment variables that describe the runner, not the image: in the digest only if `env` lists them."""

_SECRET = re.compile(
    r"(^|_)(TOKEN|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|PRIVATE_KEY|API_KEY|ACCESS_KEY)(_|$)", re.I
)

_CREDENTIALS = frozenset(
    {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
        *("AWS_ACCESS_KEY", "AWS_SECRET_KEY"),
    }
)
_POSSIBLE_SECRET = re.compile(
    r"(^|_)(TOKEN|SECRETS?|PASS|PASSW|PASSWORDS?|PASSWD|PASSPHRASE|PWD|PAT|AUTH|CREDENTIALS?|CREDS?|\w*KEYS?)(_|$)",
    re.IGNORECASE,
)

_SET_BY_SHELL = re.compile(
    r"(BASH\w*|IFS|OPTARG|OPTIND|OPTERR|REPLY|RANDOM|SRANDOM|SECONDS|LINENO|PPID|EUID|UID|GROUPS|FUNCNAME|PIPESTATUS"
    r"|DIRSTACK|HOSTTYPE|OSTYPE|MACHTYPE|SHLVL|SHELLOPTS|HIST\w*|PS[0-4]|EPOCHSECONDS|EPOCHREALTIME|COMP_\w*|COLUMNS|LINES"
    r"|ZSH\w*|PACKER_(BUILD_NAME|BUILDER_TYPE|HTTP_ADDR|HTTP_IP|HTTP_PORT|RUN_UUID)|AWS_\w*)\Z"
)
"""Variables that the shell or Packer sets itself; and AWS's, which describe credentials and regions."""
_SET_BY_CI = re.compile(
    r"(CI|CI_\w*|GITLAB_\w*|GITHUB_\w*|ACTIONS_\w*|RUNNER_\w*|BUILDKITE\w*|CIRCLE\w*|JENKINS_\w*|BUILD_(NUMBER|ID|URL|TAG)"
    r"|JOB_(NAME|URL|BASE_NAME)|EXECUTOR_NUMBER|NODE_NAME|WORKSPACE\w*|TF_BUILD|SYSTEM_\w*|AGENT_\w*|BITBUCKET_\w*"
    r"|DRONE\w*|TRAVIS\w*|TEAMCITY_\w*|CODEBUILD_\w*|GIT_(COMMIT|BRANCH|URL|PREVIOUS_\w*)|CHANGE_\w*|BRANCH_NAME)\Z"
)
_MACHINE_PATTERN = re.compile(
    r"(SHELL|TERM|LANG|LANGUAGE|LC_\w+|TZ|EDITOR|VISUAL|PAGER|DISPLAY|COLORTERM|NO_COLOR|TMP|TEMP|OLDPWD|MAIL|XDG_\w*"
    r"|SUDO_\w*|SSH_\w*|GPG_\w*|DOCKER_HOST|DOCKER_CONFIG|HOST|OS|VIRTUAL_ENV|PYTHONPATH|GOPATH|GOCACHE|JAVA_HOME"
    r"|NVM_\w*|PACKER_(LOG|LOG_PATH|CACHE_DIR|PLUGIN_PATH|CONFIG|CONFIG_DIR|NO_COLOR|TMP_DIR)|CHECKPOINT_DISABLE"
    r"|HTTPS?_PROXY|NO_PROXY|https?_proxy|no_proxy)\Z"
)


def why_not_used(name: str) -> str | None:
    """Returns why planning does not use the value of an environment variable; None if it does.

    A template may choose file names by the value; then the list of inputs would reveal it.
    """
    if name in _CREDENTIALS or (is_possible_secret(name) and name not in MACHINE_VARIABLES):
        return f"the environment variable {name} looks like a secret, and planning does not use its value"
    return None


def is_possible_secret(name: str) -> bool:
    """Whether a variable of this name may hold a secret."""
    return name in _CREDENTIALS or _POSSIBLE_SECRET.search(name) is not None


def unused_variable(why: str) -> str:
    """Returns the variable that a reason of `why_not_used` is about; empty if `why` is another reason."""
    head, tail = "the environment variable ", " looks like a secret, and planning does not use its value"
    return why[len(head) : -len(tail)] if why.startswith(head) and why.endswith(tail) else ""


def why_command_variable_not_hashed(name: str) -> str | None:
    """Returns why a local command's environment variable is not hashed; None if it is hashed.

    Empty if the shell or Packer sets it: nothing to report.
    """
    if _SET_BY_SHELL.match(name):
        return ""
    if name in MACHINE_VARIABLES or _MACHINE_PATTERN.match(name):
        return "it describes the machine or the account, not the image"
    if _SET_BY_CI.match(name):
        return "it describes the CI job, and differs between jobs"
    return "it looks like a secret" if _SECRET.search(name) else None


def why_not_hashed(name: str, facts: TemplateFacts) -> str | None:
    """Returns why the digest omits a variable that a template reads.

    None if it does not omit it. The digest includes the variable if `env` lists it.
    """
    if name in MACHINE_VARIABLES:
        return "it describes the machine or the account, not the image"
    if any(variable.sensitive and name == f"PKR_VAR_{variable.name}" for variable in facts.variables):
        return "the template declares it as sensitive"
    return "it looks like a secret" if _SECRET.search(name) else None
