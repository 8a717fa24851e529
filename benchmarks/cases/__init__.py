"""The cases, one subject a module, in the order in which they are run."""

from benchmarks.cases import digests, memory, output, overhead, plans, startup, unchanged

SUBJECTS = {
    "startup": startup.cases,
    "unchanged": unchanged.cases,
    "overhead": overhead.cases,
    "digests": digests.cases,
    "memory": memory.cases,
    "output": output.cases,
    # Last: it fills the embedded EC2.
    "plans": plans.cases,
}
