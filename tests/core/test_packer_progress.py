"""Created resources and failures are read from real lines of Packer's output."""

from __future__ import annotations

from ami_bakery.core.packer.build_progress import CreatedKind, CreatedResource, ProgressReader, Tolerated
from ami_bakery.core.packer.machine_output import human_lines, parse_message

OF_1_6_6 = """\
1795417088,,ui,say,==> amazon-ebs: Prevalidating any provided VPC information
1795417088,,ui,say,==> amazon-ebs: Prevalidating AMI Name: app-1
1795417088,,ui,message,    amazon-ebs: Found Image ID: ami-9bc25ed5138ed75cf
1795417088,,ui,say,==> amazon-ebs: Creating temporary keypair: packer_6b03e3ff-5810-fb00-b122-a43f11b840c7
1795417088,,ui,say,==> amazon-ebs: Creating temporary security group for this instance: packer_6b03e400-a3c9
1795417088,,ui,say,==> amazon-ebs: Authorizing access to port 0 from [0.0.0.0/0] in the temporary security groups...
1795417088,,ui,say,==> amazon-ebs: Launching a source AWS instance...
1795417088,,ui,message,    amazon-ebs: Instance ID: i-73ad996d99bf2614b
1795417088,,ui,say,==> amazon-ebs: Waiting for instance (i-73ad996d99bf2614b) to become ready...
1795417088,,ui,message,    amazon-ebs: AMI: ami-00000000000000001
1795417088,,ui,message,    amazon-ebs: Instance ID: i-00000000000000001
1795417088,,ui,message,    amazon-ebs: Creating temporary keypair: packer_of-somebody-else
1795417088,,ui,message,    amazon-ebs: Creating AMI other from instance i-00000000000000001
1795417088,,ui,message,    amazon-ebs: AMI: ami-00000000000000001
1795417088,,ui,say,==> amazon-ebs: Stopping the source instance...
1795417088,,ui,say,==> amazon-ebs: Creating AMI app-1 from instance i-73ad996d99bf2614b
1795417088,,ui,message,    amazon-ebs: AMI: ami-ce4c57ce990654e6e
1795417088,,ui,message,    amazon-ebs: AMI: ami-00000000000000001
"""
"""Output of `packer build -machine-readable`; lines with `00000001` or `else` are printed by a provisioner."""

OF_1_16 = """\
2026-07-24T11:33:24+05:30: ==> amazon-ebs.app: Prevalidating AMI Name: final
2026-07-24T11:33:24+05:30: ==> amazon-ebs.app: Creating temporary keypair: packer_1
2026-07-24T11:33:24+05:30: ==> amazon-ebs.app: Instance ID: i-1
2026-07-24T11:33:24+05:30: ==> amazon-ebs.app: Running local shell script: /tmp/packer-shell1
2026-07-24T11:33:24+05:30: ==> amazon-ebs.app: Warning: Provisioner failed with "Script exited with non-zero exit \
status: 3. Allowed exit codes are: [0]", but continue_on_error is set; continuing the build.
2026-07-24T11:33:24+05:30: ==> amazon-ebs.app: Creating AMI aB3dE6f from instance i-1
2026-07-24T11:33:24+05:30: ==> amazon-ebs.app: AMI: ami-1
2026-07-24T11:33:24+05:30: ==> amazon-ebs.app: Copying/Encrypting AMI (ami-1) to other regions...
"""
"""Output of packer-plugin-amazon 1.8.2 for an encrypted AMI, with -timestamp-ui."""


def read(lines: list[str]) -> ProgressReader:
    told: list[CreatedResource] = []
    reader = ProgressReader(tell=told.append)
    for line in lines:
        reader.read(line)
    assert told == reader.made
    return reader


def machine_lines(text: str) -> list[str]:
    messages = [parse_message(line) for line in text.splitlines()]
    return [line for message in messages if message is not None for line in human_lines(message)]


def test_created_resources_are_read_and_output_of_provisioners_is_ignored() -> None:
    made = [(one.kind, one.value) for one in read(machine_lines(OF_1_6_6)).made]
    assert made == [
        (CreatedKind.KEY_PAIR, "packer_6b03e3ff-5810-fb00-b122-a43f11b840c7"),
        (CreatedKind.SECURITY_GROUP, "packer_6b03e400-a3c9"),
        (CreatedKind.INSTANCE, "i-73ad996d99bf2614b"),
        (CreatedKind.AMI_NAME, "app-1"),
        (CreatedKind.AMI, "ami-ce4c57ce990654e6e"),
    ]


def test_lines_with_timestamps_of_current_packer_are_read() -> None:
    reader = read(OF_1_16.splitlines())
    assert [(one.builder, one.kind, one.value) for one in reader.made] == [
        ("amazon-ebs.app", CreatedKind.KEY_PAIR, "packer_1"),
        ("amazon-ebs.app", CreatedKind.INSTANCE, "i-1"),
        ("amazon-ebs.app", CreatedKind.AMI_NAME, "aB3dE6f"),
        ("amazon-ebs.app", CreatedKind.AMI, "ami-1"),
        ("amazon-ebs.app", CreatedKind.AMI_NAME, "final"),
    ]


def test_tolerated_failure_of_a_provisioner_is_read() -> None:
    assert read(OF_1_16.splitlines()).tolerated == [
        Tolerated(
            builder="amazon-ebs.app",
            step="Running local shell script: /tmp/packer-shell1",
            error='"Script exited with non-zero exit status: 3. Allowed exit codes are: [0]"',
        )
    ]


def test_concurrent_builders_are_distinguished() -> None:
    lines = [
        "==> one: Instance ID: i-1",
        "==> two: Instance ID: i-2",
        "==> two: Creating AMI b from instance i-2",
        "==> one: AMI: ami-9",
        "==> two: AMI: ami-2",
    ]
    made = [(one.builder, one.value) for one in read(lines).made]
    assert made == [("one", "i-1"), ("two", "i-2"), ("two", "b"), ("two", "ami-2")]


def test_registered_ami_has_the_prevalidated_name() -> None:
    lines = [
        "==> chroot: Prevalidating AMI Name: rooted",
        "==> chroot: Registering the AMI...",
        "==> chroot: AMI: ami-3",
    ]
    assert [one.value for one in read(lines).made] == ["rooted", "ami-3"]


def test_key_pair_named_by_the_template_is_ignored() -> None:
    assert read(["==> one: Creating temporary keypair: shared-by-all"]).made == []
