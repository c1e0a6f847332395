import re

import pytest

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_server.run.app_directory import apply_changes, read_settings


def test_defaults_are_usable_and_survive_the_run_config():
    assert Settings.of(Settings().as_config()) == Settings()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"learning-rat": 0.1}, "did you mean 'learning-rate'"),
        ({"rounds": "ten"}, "'rounds' takes a whole number"),
        ({"rounds": True}, "'rounds' takes a whole number"),
        ({"rounds": 0}, "rounds is 0; it must be at least 1"),
        ({"learning-rate": -1.0}, "must be above 0"),
        ({"prune": 1.0}, "from 0 to below 1"),
        ({"clients": 5, "clients-per-round": 6}, "only 5 clients"),
        ({"uplink": "topk(1%)"}, "coder at the end"),
        ({"downlink": "feedback | sign | golomb"}, "need no 'feedback'"),
        ({"uplink": "topk(1%) | sign | golomb"}, "loses for good.*put 'feedback"),
        ({"uplink": "feedback | stochastic(8 sigma) | range"}, "residual diverges"),
        ({"downlink": "feedback(decay 0.9) | sign | golomb"}, "need no 'feedback'"),
        ({"uplink": "auto(nmse 0.1)"}, "loses for good.*put 'feedback"),
        ({"uplink": "large(9, stochastic(8 sigma) | range, sign | golomb)"}, "loses for good"),
        (
            {"uplink": "feedback | large(9, topk(1%) | sign | golomb, stochastic(1%) | range)"},
            "residual diverges",
        ),
        ({"refresh": "first(2)"}, "unknown refresh plan"),
        ({"device": "toaster"}, "unknown device profile"),
        ({"schedule": "warmup"}, "unknown schedule"),
        ({"energy-budget": -1.0}, "energy-budget is -1.0; it must be 0 or more"),
        ({"stop-joules": float("nan")}, "stop-joules is nan"),
        ({"clip-norm": float("inf")}, "clip-norm is inf; it must be .* finite; 0 is for none"),
        ({"learning-rate": float("inf")}, "learning-rate is inf; it must be above 0, and finite"),
        ({"stop-accuracy": 95}, "from 0 to 1"),
        ({"min-battery": 100}, "from 0 to below 100"),
    ],
)
def test_a_wrong_setting_is_explained(config, message):
    with pytest.raises(UsageError, match=message):
        Settings.of(config)


@pytest.mark.parametrize(
    "config",
    [
        {"uplink": "feedback(momentum 0.9, decay 0.95) | topk(1%) | sign | golomb"},
        {"uplink": "feedback(decay 0.95) | auto(nmse 0.2)"},
        {"uplink": "large(1024, stochastic(24 sigma) | range, float16 | zstd)"},
        {"uplink": "feedback | large(1024, topk(1%) | sign | golomb, float16 | zstd)"},
        {"downlink": "large(1024, auto(nmse 0.1), raw)"},
        {"downlink": "auto"},
    ],
)
def test_these_codecs_are_settings(config):
    assert Settings.of(config).as_config().items() >= config.items()


def test_whole_numbers_are_numbers():
    assert Settings.of({"learning-rate": 1}).train.learning_rate == 1.0


def test_learning_rate_falls_over_each_phase():
    settings = Settings.of(rounds=10, recover_rounds=5, learning_rate=0.1, final_learning_rate=0.01)
    rates = [settings.learning_rate_at(number) for number in range(1, 16)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(0.055)
    assert rates[9] == rates[14] == pytest.approx(0.01)
    assert rates[:10] == sorted(rates[:10], reverse=True)


@pytest.mark.parametrize(
    "codec",
    [
        "qsgd(8) | golomb", "dyadic(auto) | golomb", "stochastic(auto) | golomb", "topk(1%) | range",
        "qsgd(4) | raw", "golomb", "seeded | raw", "large(1024, qsgd(8) | golomb, zstd)",
        "scaled | large(100000, zstd, range)", "statistics(zstd, topk(1%) | range)",
    ],
)  # fmt: skip
def test_a_codec_that_no_round_could_use_is_refused_by_its_text(codec):
    key = "downlink" if codec.startswith(("dyadic", "topk", "stat")) else "uplink"
    with pytest.raises(UsageError, match=rf"codec '{re.escape(codec)}' cannot work: "):
        Settings.of({key: codec})


@pytest.mark.parametrize(
    "change", ["private=0", "private=0.1", "private=true", "refresh=frozen(0)"]
)
def test_a_block_may_be_called_by_a_number_on_the_command_line(change):
    key, _, value = change.partition("=")
    settings = apply_changes(Settings.of(prune=0.0), [change])
    assert settings.as_config()[key] == value
    assert Settings.of({"private": 0, "prune": 0.0}).wire.private == "0"


def test_an_app_has_keys_of_its_own_and_a_misspelt_one_of_ours_is_none(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        "[tool.flwr.app.config]\nrounds = 3\n[tool.flwr.app.config.app]\nspeed = 1\nwho.name = 'x'\n"
    )
    settings = read_settings(tmp_path, ["app.speed=2"])
    assert (
        settings.as_config().items() >= {"app.speed": 2, "app.who.name": "x", "rounds": 3}.items()
    )
    assert Settings.of(settings.as_config()) == settings
    with pytest.raises(UsageError, match=r"'app\.sped'; did you mean 'app\.speed'"):
        read_settings(tmp_path, ["app.sped=2"])
    with pytest.raises(UsageError, match="'round'; did you mean 'rounds'"):
        read_settings(tmp_path, ["round=2"])
