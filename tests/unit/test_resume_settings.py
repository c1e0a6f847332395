"""With which settings a run may be resumed: its own, written by this version or an earlier one."""

import pytest

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.resume import to_resume


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path, "digits", Settings.of({}, seed=3), app=None)


def test_a_run_is_resumed_with_its_own_settings(run):
    assert to_resume(run.path, Settings.of({}, seed=3)).name == run.name
    with pytest.raises(UsageError, match="was begun with seed = 3, not 4"):
        to_resume(run.path, Settings.of({}, seed=4))


def test_keys_that_are_new_since_a_run_was_begun_have_their_defaults(run):
    about = run.read_json("run.json")
    del about["settings"]["optimizer"], about["settings"]["stop-patience"]
    run.write_json("run.json", about)
    assert to_resume(run.path, Settings.of({}, seed=3)).name == run.name
    with pytest.raises(UsageError, match="was begun with optimizer = 'sgd', not 'adam'"):
        to_resume(run.path, Settings.of({}, seed=3, optimizer="adam"))
