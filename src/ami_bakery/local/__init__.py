"""The embedded EC2: real Packer and real boto3 against moto, made as strict as EC2, with no account."""

from ami_bakery.local.control import Control
from ami_bakery.local.faults import Fault, FaultKind
from ami_bakery.local.iam_policy import read_policy
from ami_bakery.local.local_session import LocalAws, run
from ami_bakery.local.local_settings import Account, LocalSettings
from ami_bakery.local.report import Call, Command, Report, Upload

__all__ = [
    "Account",
    "Call",
    "Command",
    "Control",
    "Fault",
    "FaultKind",
    "LocalAws",
    "LocalSettings",
    "Report",
    "Upload",
    "read_policy",
    "run",
]
