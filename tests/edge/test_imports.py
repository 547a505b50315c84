import subprocess
import sys
from pathlib import Path

import edge

FOREIGN = "tensorflow tf_keras keras larq larq_compute_engine larq_zoo zoo convert ai_edge_litert"


def test_edge_imports_no_other_stage_and_no_runtime():
    script = (
        "import sys, edge, edge.__main__, edge.report, edge.runner.main;"
        f"print(sorted(set({FOREIGN.split()!r}) & set(sys.modules)))"
    )
    folder = Path(edge.__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=folder, check=True
    )
    assert result.stdout == "[]\n"
