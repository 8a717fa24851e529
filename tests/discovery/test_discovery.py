"""The reader finds every file that Packer opens, and few others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.discovery.case import Case
from tests.discovery.cases_expressions import EXPRESSIONS
from tests.discovery.cases_hcl import HCL
from tests.discovery.cases_json import JSON
from tests.discovery.cases_local import LOCAL
from tests.discovery.compare import Options, compare
from tests.trees import write_tree

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None or shutil.which("packer") is None,
    reason="this test needs strace and packer; install Debian's packages of these names",
)


@pytest.mark.parametrize("case", [*JSON, *HCL, *LOCAL, *EXPRESSIONS], ids=lambda case: case.name)
def test_files_that_packer_opens_are_found(case: Case, tmp_path: Path) -> None:
    write_tree(tmp_path, case.files)
    for path in tmp_path.rglob("*.sh"):
        path.chmod(0o755)

    result = compare(
        tmp_path,
        Options(
            template=case.template,
            workdir=case.workdir,
            variables=case.variables,
            var_files=case.var_files,
            only=case.only,
            except_=case.except_,
            environment=case.environment,
            run_local=case.run_local,
        ),
    )

    assert result.status == 0, result.output
    assert result.missed == frozenset(), result.output
    assert result.extra == case.extra
    assert result.facts.unresolved == ()
