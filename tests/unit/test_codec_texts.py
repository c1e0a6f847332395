import pytest

from frugalfl.codec import parse_codec
from frugalfl.errors import CodecError, UsageError


def test_spaces_do_not_matter():
    assert (
        parse_codec("feedback|topk( 1% )|sign|golomb").text == "feedback | topk(1%) | sign | golomb"
    )


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
    ],
)
def test_links_that_do_not_fit_are_refused_when_used(text):
    import numpy as np

    with pytest.raises(CodecError):
        parse_codec(text).encode({"w": np.float32([0.5, 1000, -3, 0])})
