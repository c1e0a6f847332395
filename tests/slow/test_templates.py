"""Every template of ``frugalfl new`` as a user takes it: two commands, to an int8 model."""

import json
import re
import subprocess
import sys

import pytest

from frugalfl.new import TEMPLATES

COMMAND = [sys.executable, "-c", "from frugalfl.cli import main; main()"]
#: The first measure of each, and what the int8 model must reach; for errors, not exceed.
REACHED = {
    "classify": ("accuracy", "higher", 0.93),
    "regress": ("rmse_kw", "lower", 0.6),
    "anomaly": ("mse", "lower", 0.008),
    "sensor": ("accuracy", "higher", 0.93),
    "fraud": ("average_precision", "higher", 0.7),
}

pytestmark = pytest.mark.slow


def type_in(folder, *words):
    done = subprocess.run(
        [*COMMAND, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("template", TEMPLATES)
def test_it_ends_with_an_int8_model_and_the_measure_of_its_kind(template, tmp_path):
    type_in(tmp_path, "new", "mine", "--template", template)
    printed = type_in(tmp_path, "simulate", "mine")
    (listed,) = json.loads(type_in(tmp_path, "runs", "--json"))
    name, better, least = REACHED[template]
    assert (listed["measure"], listed["better"]) == (name, better)
    sign = 1 if better == "higher" else -1
    assert sign * listed["value_int8"] >= sign * least, listed
    assert listed["int8_bytes"] < 16_384
    headline = "rmse (kw)" if template == "regress" else name.replace("_", " ")
    assert printed.splitlines()[1].lower().startswith(headline)
    if template == "anomaly":
        tell_worn_bearings(tmp_path)


def tell_worn_bearings(folder):
    program = [sys.executable, "mine/detect.py", "runs/latest"]
    said = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=True).stdout
    healthy, worn = (float(one) for one in re.findall(r"([\d.]+)%", said))
    assert healthy < 5 and worn > 90, said
