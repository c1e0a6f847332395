"""The short version of each benchmark writes figures that its table can be made of."""

import json
import subprocess
import sys
from itertools import groupby

import pytest
from common import ROOT
from rendering.table_sources import TABLES

pytestmark = pytest.mark.slow

#: These need TensorFlow, gigabytes of downloads, or hours.
ELSEWHERE = {"export", "installed", "communication", "simulation", "subspaces"}


@pytest.mark.parametrize("name", sorted(TABLES.keys() - ELSEWHERE))
def test_a_short_version_gives_a_table(name, tmp_path):
    source, file = TABLES[name], tmp_path / "figures.json"
    command = [sys.executable, f"benchmarks/{source.program}.py", "--quick", "--json", file]
    subprocess.run([*command, *source.options.split()], cwd=ROOT, check=True, timeout=1200)
    figures = json.loads(file.read_text())
    assert figures["about"]["quick"] is True
    lines = source.render(figures).splitlines()
    tables = [list(rows) for piped, rows in groupby(lines, lambda one: one[:1] == "|") if piped]
    assert tables
    for table in tables:
        assert len(table) > 2 and len({line.count(" | ") for line in table}) == 1
    if source.glance is not None and name not in ("codec", "fraud"):
        assert len(source.glance(figures)) == 4
