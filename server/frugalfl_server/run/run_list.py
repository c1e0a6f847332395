"""What there is to say about each of many runs, from their JSON files alone if they are finished.

Tables of those are not read, so that a folder of a hundred runs is listed at once. A run that is
damaged is listed as such: it hides no other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from frugalfl.errors import RunError
from frugalfl_server.run.sealed import read_sealed, reading

_ABOUT, _SUMMARY, _MEASURES = "run.json", "summary.json", "measures.json"
_ACCURACY = {"name": "accuracy", "better": "higher", "unit": "share"}


@dataclass(frozen=True)
class Listed:
    """One run; what is not known is None.

    Attributes:
        run: Its name.
        path: Its directory.
        task: Name of the task.
        started_unix_s: When it began (s since 1970).
        status: ``finished``, ``interrupted``, ``failed``, ``unfinished`` or ``damaged``.
        reason: Why it failed, or what is damaged.
        measure: Name of its first measure.
        better: Whether a ``higher`` or a ``lower`` value of that is better.
        value: Of the federated model, before pruning.
        value_int8: Of the exported int8 file.
        bytes: All that clients sent and received (B).
        energy_j: Joules of all clients, ``measured`` and ``estimated``, never added together.
        int8_bytes: Size of the microcontroller's file (B).
        settings: All of them, under their names in an app's config.
        codecs: Those that updates really travel by, ``uplink`` and ``downlink``.
        chosen: Why settings that were ``auto`` became what they are, by name.
    """

    run: str
    path: str
    task: str | None = None
    started_unix_s: float | None = None
    status: str = "damaged"
    reason: str | None = None
    measure: str | None = None
    better: str | None = None
    value: float | None = None
    value_int8: float | None = None
    bytes: int | None = None
    energy_j: Mapping[str, float | None] = field(default_factory=dict)
    int8_bytes: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    codecs: Mapping[str, str] | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)

    @property
    def followed(self) -> Mapping[str, Any]:
        """The settings, with codecs that took the place of those that were set.

        One that the run chose itself says so: ``auto: full``.
        """
        chosen = {name: f"auto: {self.settings.get(name)}" for name in self.chosen}
        return {**self.settings, **chosen, **(self.codecs or {})}


def list_runs(places: Iterable[Path]) -> list[Listed]:
    """List runs, the oldest first.

    Args:
        places: Runs, and folders of runs.

    Raises:
        RunError: A place is neither.
    """
    found = [run for place in places for run in _runs_at(place)]
    listed = [_listed(path) for path in dict.fromkeys(found)]
    return sorted(listed, key=lambda one: (one.started_unix_s or 0.0, one.run))


def differing(runs: Sequence[Listed]) -> list[str]:
    """Return the settings in which runs differ, in the order of an app's config."""
    known = [one.followed for one in runs if one.settings]
    names = dict.fromkeys(name for settings in known for name in settings)
    return [name for name in names if any(one.get(name) != known[0].get(name) for one in known)]


def _runs_at(place: Path) -> list[Path]:
    if (place / _ABOUT).is_file():
        return [place.resolve()]
    if not place.is_dir():
        raise RunError(f"there is no folder {str(place)!r}; name a run, or a folder of runs")
    found = [one.resolve() for one in sorted(place.iterdir()) if (one / _ABOUT).is_file()]
    if not found:
        raise RunError(
            f"there is no run in {str(place)!r}; `frugalfl simulate APP --runs {place}` makes one"
        )
    return found


def _listed(path: Path) -> Listed:
    try:
        return _read(path)
    except RunError as error:
        return Listed(path.name, str(path), reason=str(error))


def _read(path: Path) -> Listed:
    """Read one run.

    Raises:
        RunError: One of its files is damaged.
    """
    about, _ = read_sealed(path / _ABOUT)
    summary = _summary(path)
    first = _first_measure(path)
    with reading(path / _ABOUT):
        known = Listed(
            path.name, str(path), str(about["task"]), float(about["started_unix_s"]),
            settings=dict(about["settings"]), chosen=_chosen_of(about),
            measure=str(first["name"]), better=str(first["better"]),
        )  # fmt: skip
    with reading(path / _SUMMARY):
        return _with_figures(known, summary)


def _chosen_of(about: Mapping[str, Any]) -> dict[str, str]:
    """Return which settings were ``auto``, and why they became what they are."""
    return {str(name): str(why) for name, why in dict(about.get("chosen", {})).items()}


def _summary(path: Path) -> Mapping[str, Any]:
    """Return a run's summary; one that is not finished is summed up as far as it came."""
    kept = _kept(path / _SUMMARY)
    if kept is not None and kept.get("status") == "finished":
        return kept
    from frugalfl_server.run.newest import open_newest  # tables: pyarrow
    from frugalfl_server.run.summary import of_run

    run = open_newest(path)
    return of_run(run, *run.status())


def _with_figures(known: Listed, summary: Mapping[str, Any]) -> Listed:
    model, codecs = summary["model"], summary.get("codecs")  # older summaries have none
    sent = int(summary["uplink_bytes"]) + int(summary["downlink_bytes"])
    return replace(
        known,
        status=str(summary["status"]),
        reason=summary["reason"],
        codecs=None if codecs is None else dict(codecs),
        value=_score(summary, known.measure, ""),
        value_int8=_score(summary, known.measure, "_int8"),
        bytes=sent or None,  # what a round sent that was not finished is not known
        energy_j={kind: summary["energy_j"][kind] for kind in ("measured", "estimated")},
        int8_bytes=None if model is None else int(model["int8_bytes"]),
    )


def _score(summary: Mapping[str, Any], measure: str | None, form: str) -> float | None:
    found = (
        summary[f"accuracy{form}"]
        if measure == _ACCURACY["name"]
        else summary[f"metrics{form}"].get(measure)
    )
    return None if found is None else float(found)


def _first_measure(path: Path) -> Mapping[str, Any]:
    kept = _kept(path / _MEASURES)
    if kept is None:  # runs from before it was kept
        return _ACCURACY
    with reading(path / _MEASURES):
        first: Mapping[str, Any] = kept["measures"][0] if kept["measures"] else _ACCURACY
    return first


def _kept(path: Path) -> dict[str, Any] | None:
    return read_sealed(path)[0] if os.path.lexists(path) else None
