"""Interfaces to external systems, as protocols; implemented by adapters and tests."""

from ami_bakery.ports.aws_amis import BuilderAccount, CopyRequest, Ec2, ParameterStore
from ami_bakery.ports.aws_usage import AmiUsage
from ami_bakery.ports.build_resources import Locks, TemporaryResources
from ami_bakery.ports.bundle import Ports
from ami_bakery.ports.packer_program import BuildRequest, Packer
from ami_bakery.ports.source_files import Git, RevisionTree, StampReader, TemplateReader
from ami_bakery.ports.user_and_time import Clock, Prompter, Reporter

__all__ = [
    "AmiUsage",
    "BuildRequest",
    "BuilderAccount",
    "Clock",
    "CopyRequest",
    "Ec2",
    "Git",
    "Locks",
    "Packer",
    "ParameterStore",
    "Ports",
    "Prompter",
    "Reporter",
    "RevisionTree",
    "StampReader",
    "TemplateReader",
    "TemporaryResources",
]
