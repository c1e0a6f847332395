import pytest

from frugalfl.codec import parse_codec
from frugalfl.errors import CodecError, UsageError


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("feedback|topk( 1% )|sign|golomb", "feedback | topk(1%) | sign | golomb"),
        ("feedback( momentum .9,decay 0.5 )|raw", "feedback(momentum .9, decay 0.5) | raw"),
        ("large(9,auto(nmse 0.1),sign|golomb)", "large(9, auto(nmse 0.1), sign | golomb)"),
    ],
)
def test_spaces_do_not_matter(written, text):
    assert parse_codec(written).text == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("topk(1%) | sgn | golomb", "did you mean 'sign'"),
        ("topk(1%) | sign", "unknown coder at the end"),
        ("feedback", "unknown coder at the end"),
        ("", "cannot read"),
        ("topk | sign | golomb", "takes 1 arguments, not 0"),
        ("topk(0) | sign | golomb", "above 0 and at most 100%"),
        ("topk(200%) | sign | golomb", "above 0 and at most 100%"),
        ("topk(few) | sign | golomb", "a share such as 1%"),
        ("sign(3) | golomb", "takes 0 arguments"),
        ("stochastic(24 sgma) | range", "24 sigma, 8 noise or 1.5%"),
        ("stochastic(0 sigma) | range", "24 sigma, 8 noise or 1.5%"),
        ("stochastic(x) | range", "a share such as 1%"),
        ("qsgd(9) | range", "2 to 8 bits"),
        ("lowrank(0) | zstd", "at least 1"),
        ("eden(5) | zstd", "1 to 4 bits"),
        ("feedback(momentun 0.9) | sign | golomb", "did you mean 'momentum'"),
        ("feedback(momentum) | sign | golomb", "momentum takes a number above 0 and below 1"),
        ("feedback(decay 1) | sign | golomb", "decay takes a number above 0 and below 1"),
        ("feedback(0.9) | sign | golomb", "unknown option of feedback '0.9'"),
        ("feedback(decay 0.9, decay 0.8) | sign | golomb", "'decay' twice"),
        ("sign | feedback | golomb", "in front of the whole codec"),
        ("large(9, sign | golomb)", "takes 3 arguments, not 2"),
        ("large(few, raw, raw)", "whole number of at least 1"),
        ("large(9, sign, raw)", "unknown coder at the end of codec 'sign'"),
        ("large(9, feedback | sign | golomb, raw)", "in front of the whole codec"),
        ("large(9, raw, raw) | zstd", "'large' ends a codec"),
        ("range | zstd", "'range' ends a codec"),
        ("auto(0.1)", "unknown measure of auto '0.1'"),
        ("auto(nmse 1.5)", "nmse takes a number above 0 and below 1"),
        ("auto(nmse 0.0000001)", "nmse takes at least 1e-06"),
        ("topk(1% | sign | golomb", "a '\\)' is missing"),
    ],
)
def test_a_wrong_text_is_explained(text, message):
    with pytest.raises(UsageError, match=message):
        parse_codec(text)


@pytest.mark.parametrize(
    "text",
    [
        "float16 | golomb",
        "topk(1%) | golomb",
        "topk(1%) | range",
        "sign | raw",
        "sign | auto",
    ],
)
def test_links_that_do_not_fit_are_refused_when_used(text):
    import numpy as np

    with pytest.raises(CodecError):
        parse_codec(text).encode({"w": np.float32([0.5, 1000, -3, 0])})
