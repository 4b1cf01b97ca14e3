import pytest

from regional_primitives.show import numerals


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1e-9, "< 0.001 %"),
        (-1e-9, "> −0.001 %"),
        (0.00412, "0.41 %"),
        (0.002, "0.20 %"),
        (0.000869, "0.087 %"),
        (0.00997, "1.0 %"),
        (0.0412, "4.1 %"),
        (0.0996, "10 %"),
        (0.119, "12 %"),
        (0.9834, "98.3 %"),
        (0.9999, "100 %"),
        (1.0, "100 %"),
        (3.49, "349 %"),
        (-0.021, "−2.1 %"),
        (float("nan"), "not finite"),
    ],
)
def test_percent(share, text):
    assert numerals.percent(share).replace("\u00a0", " ") == text


def test_numbers_and_units_are_not_torn_apart():
    for text in (numerals.percent(0.5), numerals.times(1.2), numerals.seconds(3.0)):
        assert " " not in text
    assert numerals.unbroken("over 100 % and 1 ×") == "over 100\u00a0% and 1\u00a0×"


@pytest.mark.parametrize(
    ("rank", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"),
     (21, "21st"), (102, "102nd"), (111, "111th")],
)  # fmt: skip
def test_ordinal(rank, text):
    assert numerals.ordinal(rank) == text


def test_other_numbers():
    assert numerals.count(4944) == "4,944"
    assert numerals.decimal(0.81453) == "0.815"
    assert numerals.decimal(1.0) == "1.00"
    assert numerals.decimal(123.4) == "123"
    assert numerals.decimal(-12345.6) == "−12,346"
    assert numerals.seconds(4.321).replace("\u00a0", " ") == "4.3 s"
    assert numerals.seconds(59.6).replace("\u00a0", " ") == "60 s"
    assert numerals.seconds(150.0).replace("\u00a0", " ") == "2.5 min"
    assert numerals.patches(1) == "1 patch"
    assert numerals.patches(6) == "6 patches"
