"""What ``frugalfl new`` writes, and the loader of its sensor app."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frugalfl.digits import load_digits
from frugalfl.errors import TaskError, UsageError
from frugalfl.new import TEMPLATES, write_app
from frugalfl.task import load_task
from frugalfl_server.run.app_directory import importable, read_settings
from frugalfl_server.run.pack_app import pack

COLUMNS = ("ax", "ay", "az", "state")


@pytest.fixture
def sensor(tmp_path):
    """A sensor app whose modules can be imported while the test runs."""
    write_app(tmp_path / "pumps", "sensor")
    with importable(tmp_path / "pumps"):
        yield tmp_path / "data"


def test_every_template_is_there_and_nothing_else():
    folder = sys.modules["frugalfl.new"]._FOLDER
    assert {one.name for one in folder.iterdir() if one.name != "__pycache__"} == set(TEMPLATES)


@pytest.mark.parametrize("template", TEMPLATES)
def test_an_app_has_its_name_good_rows_and_a_bundle(template, tmp_path):
    app = tmp_path / "my-app"
    write_app(app, template)
    settings = read_settings(app)
    with importable(app):
        task = load_task(settings.run.task)
        assert task.name == "my-app" and task.about
        rows = [
            task.rows_of(n, settings.simulation.clients) for n in range(settings.simulation.clients)
        ]
        test = task.public_rows().test
    assert all(len(one) >= settings.train.batch_size for one in rows)
    seen = {row.tobytes() for one in rows for row in one.x}
    assert not seen & {row.tobytes() for row in test.x}  # what it is measured on, nobody trains on
    packed = pack(app, tmp_path / "work" / "packed")
    assert {one.name for one in app.glob("*.py")} <= set(packed.files)


def test_what_is_there_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "task.py").write_text("# years of work")
    with pytest.raises(UsageError, match="is there already"):
        write_app(tmp_path / "mine", "classify")
    assert (tmp_path / "mine" / "task.py").read_text() == "# years of work"


@pytest.mark.parametrize(
    ("name", "template", "why"),
    [
        ('a"b', "classify", "cannot be called"),
        ("1st", "classify", "cannot be called"),
        ("app", "clasify", "take one of classify, regress"),
    ],
)
def test_what_cannot_be_an_app_is_one_line(name, template, why, tmp_path):
    with pytest.raises(UsageError, match=why):
        write_app(tmp_path / name, template)
    assert not list(tmp_path.iterdir())


def test_the_digits_are_scikit_learns():
    from sklearn.datasets import load_digits as theirs

    pixels, labels = theirs(return_X_y=True)
    ours = load_digits()
    np.testing.assert_array_equal(ours.x.reshape(-1, 64) * 16, pixels)
    np.testing.assert_array_equal(ours.y, labels)


def test_csv_and_parquet_give_the_rows_of_the_example(sensor, monkeypatch):
    import example
    import task

    made = task.recording("machine-1")
    example.main(sensor, machines=2)
    monkeypatch.setenv("SENSOR_DATA", str(sensor))
    of_csv = task.recording("machine-1")
    table = pa.table(dict(example.recording("machine-1")))
    (sensor / "machine-1.csv").unlink()
    pq.write_table(table, sensor / "machine-1.parquet")
    of_parquet = task.recording("machine-1")
    for read in (of_csv, of_parquet):
        np.testing.assert_array_equal(read.x, made.x)
        np.testing.assert_array_equal(read.y, made.y)


def test_a_recording_that_is_not_there_is_never_made_up(sensor, monkeypatch):
    import task

    monkeypatch.setenv("SENSOR_DATA", str(sensor))
    with pytest.raises(TaskError, match=r"no machine-0\.csv and no machine-0\.parquet"):
        task.task.rows_of(0, 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ax,ay,state\n1,2,off\n", "has no column az; it has ax, ay, state"),
        ("ax,ay,az,state\n1,2,3,off\n1,2,,off\n", "line 3: az is empty"),
        ("ax,ay,az,state\n1,2,3\n", "line 2: state is empty"),
        ("ax,ay,az,state\n1,2,3,off\n1,x,3,off\n", "ay holds both numbers and texts"),
    ],
)
def test_a_damaged_recording_is_named_with_its_place(text, why, sensor):
    import recordings

    sensor.mkdir()
    (sensor / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=why):
        recordings.read_columns(sensor, "a", COLUMNS)


def test_empty_values_of_parquet_are_refused(sensor):
    import recordings

    sensor.mkdir()
    columns = {name: [1.0, None] for name in COLUMNS}
    pq.write_table(pa.table(columns), sensor / "a.parquet")
    with pytest.raises(ValueError, match="ax has 1 empty values"):
        recordings.read_columns(sensor, "a", COLUMNS)


def test_windows_keep_their_state_and_none_has_two(sensor):
    import recordings

    states = np.repeat([0, 1], 10)
    samples = np.arange(40.0).reshape(20, 2)
    windows, of = recordings.cut(samples, states, window=4, step=3)
    assert windows.shape == (5, 2, 4)  # from 0, 3, 6, 12, 15: samples 9 to 12 are of both
    assert of.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_array_equal(windows[0], samples[:4].T)
    with pytest.raises(ValueError, match="hold no window of 30"):
        recordings.cut(samples, states, window=30, step=3)
