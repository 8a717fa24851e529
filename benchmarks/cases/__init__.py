"""The cases in the order of execution, one module per subject."""

from benchmarks.cases import audit, digests, memory, output, overhead, pages, plans, startup, unchanged

SUBJECTS = {
    "startup": startup.cases,
    "unchanged": unchanged.cases,
    "overhead": overhead.cases,
    "audit": audit.cases,
    "digests": digests.cases,
    "memory": memory.cases,
    "output": output.cases,
    "pages": pages.cases,
    # Last, because it fills the embedded EC2.
    "plans": plans.cases,
}
