"""The embedded EC2: an EC2 emulator for Packer and AWS SDKs, based on moto but stricter."""

from ami_bakery.local.control import Control
from ami_bakery.local.faults import FaultKind, InjectedFault
from ami_bakery.local.iam_policy import read_policy
from ami_bakery.local.local_session import LocalAws, run_local
from ami_bakery.local.local_settings import Account, LocalSettings
from ami_bakery.local.recorder import ApiCall, Report, SshCommand, Upload

__all__ = [
    "Account",
    "ApiCall",
    "Control",
    "FaultKind",
    "InjectedFault",
    "LocalAws",
    "LocalSettings",
    "Report",
    "SshCommand",
    "Upload",
    "read_policy",
    "run_local",
]
