"""Diagnostics as text: places, excerpts, carets, escapes, hints."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg import errors
from initcfg.errors import (
    MAX_TOLD,
    Code,
    Diagnostic,
    FormatError,
    InitcfgError,
    InitializerError,
    Location,
    OutputError,
    SpecError,
    capped,
    fold_copies,
    printable,
    stopped,
)

TYPO = Diagnostic(
    Code.UNKNOWN_INITIALIZER,
    "no initializer is named 'glorot_unifrom'",
    Location(
        "configs/gpt2.yaml",
        19,
        48,
        62,
        "      weight: {shape: [vocab, d], initializer: glorot_unifrom}",
        ("layers",),
    ),
    "did you mean 'glorot_uniform'?",
)


def test_a_diagnostic_reads_as_the_design_shows():
    assert str(TYPO) == (
        "configs/gpt2.yaml:19:48: error[unknown-initializer]: no initializer is named 'glorot_unifrom'\n"
        "    19 |       weight: {shape: [vocab, d], initializer: glorot_unifrom}\n"
        "       |                                                ^^^^^^^^^^^^^^\n"
        "  help: did you mean 'glorot_uniform'?"
    )


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (Location("a.yaml", 3, 7), "a.yaml:3:7"),
        (Location(None, 3, 7), "3:7"),
        (Location("a.yaml", 3), "a.yaml:3"),
        (Location("a.yaml"), "a.yaml"),
        (Location("a.yaml", path=("layers", "fc", 0)), "a.yaml: $.layers.fc[0]"),
        (Location(path=("layers", "fc", 0)), "$.layers.fc[0]"),
        (Location(), "$"),
        (Location("a\x1b[31m.yaml", 1, 1), r"a\x1b[31m.yaml:1:1"),
    ],
)
def test_a_place_says_as_much_as_is_known(where: Location, text: str):
    assert str(where) == text


def test_a_diagnostic_without_a_place_is_its_headline_and_help():
    bare = Diagnostic(Code.SHAPE, "a dimension is -1", hint="write at least 0", severity="warning")
    assert str(bare) == "warning[shape]: a dimension is -1\n  help: write at least 0"


def test_a_diagnostic_can_be_given_its_place():
    where = Location("a.yaml", 1, 1)
    placed = Diagnostic(Code.SHAPE, "m").at(where)
    assert (placed.where, placed.message) == (where, "m")


@pytest.mark.parametrize(
    ("text", "column", "end", "marked"),
    [
        ("abc def", 5, 8, "def"),
        ("abc def", 5, None, "d"),
        ("abc def", 8, None, ""),  # just past the end of the line
        ("ключ: значение", 7, 15, "значение"),
        ("a\tb: x", 3, 4, "b"),
        ("a\x1bb: x", 5, 6, ":"[:0] + " "),
    ],
)
def test_the_caret_stands_under_what_it_is_about(text: str, column: int, end: int | None, marked: str):
    _, shown, carets = str(Diagnostic(Code.SYNTAX, "m", Location("f", 1, column, end, text))).split("\n")
    under = "".join(above for above, below in zip(shown, carets, strict=False) if below == "^")
    assert under == marked
    assert "^" in carets


def columns_of(text: str) -> list[str]:
    """The character in each column of a terminal, by the table of its width; a wide one has two."""
    return [char for char in text for _ in range(WIDTHS.get(char, 1))]


WIDTHS = {"重": 2, "み": 2, "\uff46": 2, "\U0001f600": 2, "\u0301": 0, "\u200d": 0}


@pytest.mark.parametrize(
    ("text", "column", "end", "marked"),
    [
        ("重み: x", 5, 6, "x"),
        ("重み: x", 1, 3, "重重みみ"),
        ("a: {\uff46: 重}", 8, 9, "重重"),
        ("\U0001f600 b", 3, 4, "b"),
        ("cafe\u0301 d", 7, 8, "d"),
        ("a\u200db c", 5, 6, "c"),
    ],
)
def test_the_caret_counts_columns_where_characters_are_wide_or_have_no_width(
    text: str, column: int, end: int, marked: str
):
    _, shown, carets = str(Diagnostic(Code.SYNTAX, "m", Location("f", 1, column, end, text))).split("\n")
    under = "".join(above for above, below in zip(columns_of(shown), carets, strict=False) if below == "^")
    assert under == marked


@pytest.mark.parametrize("column", [1, 60, 500, 990])
def test_a_long_line_is_cut_around_the_caret(column: int):
    text = "".join(f"{number:>9} " for number in range(100))
    where = Location("f", 1, column, column + 5, text)
    _, shown, carets = str(Diagnostic(Code.SYNTAX, "m", where)).split("\n")
    assert len(shown) <= 80
    under = "".join(above for above, below in zip(shown, carets, strict=False) if below == "^")
    assert under == text[column - 1 : column + 4]


def test_a_line_is_cut_no_more_than_it_must_be():
    _, shown, _ = str(Diagnostic(Code.SYNTAX, "m", Location("f", 1, 72, 74, "ab " * 25))).split("\n")
    assert len(shown) == 80


def test_a_diagnostic_longer_than_the_excerpt_keeps_its_carets_inside_it():
    _, shown, carets = str(Diagnostic(Code.SYNTAX, "m", Location("f", 1, 1, 5000, "x" * 5000))).split("\n")
    assert len(carets) == len(shown)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text, ünïcödé 漢字 🎲", "plain text, ünïcödé 漢字 🎲"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("one\ntwo\r\tthree\x00", r"one\ntwo\r\tthree\x00"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("line\u2028paragraph\u2029", r"line\u2028paragraph\u2029"),
        ("\ud800", r"\ud800"),
        ("\x9b31m", r"\x9b31m"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped(raw: str, shown: str):
    assert printable(raw) == shown


@settings(derandomize=True, deadline=None)
@given(
    message=st.text(),
    text=st.text(),
    file=st.text(min_size=1),
    hint=st.none() | st.text(min_size=1),
    column=st.integers(1, 300),
)
def test_no_text_can_forge_a_line_of_a_report(
    message: str, text: str, file: str, hint: str | None, column: int
):
    shown = str(Diagnostic(Code.SYNTAX, message, Location(file, 1, column, column + 3, text), hint))
    assert len(shown.splitlines()) == 3 + (hint is not None)
    assert all(char == "\n" or char.isprintable() or not errors._is_unsafe(char) for char in shown)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (SpecError, ValueError),
        (InitializerError, ValueError),
        (FormatError, ValueError),
        (OutputError, OSError),
    ],
)
def test_every_error_is_caught_as_the_base_and_as_the_builtin_kind(
    error: type[InitcfgError], builtin: type[Exception]
):
    first, second = Diagnostic(Code.SHAPE, "one"), Diagnostic(Code.SHAPE, "two")
    with pytest.raises(InitcfgError) as caught:
        raise error(first, second)
    assert isinstance(caught.value, builtin)
    assert caught.value.diagnostics == (first, second)
    assert str(caught.value) == f"{first}\n{second}"


@pytest.mark.parametrize("error", [SpecError, InitializerError, FormatError, OutputError])
def test_errors_survive_pickling(error: type[InitcfgError]):
    raised = error(TYPO)
    copied = pickle.loads(pickle.dumps(raised))
    assert type(copied) is error
    assert copied.diagnostics == raised.diagnostics
    assert str(copied) == str(raised)


def test_codes_are_kebab_case_and_named_alike():
    for code in Code:
        assert code.value == code.name.lower().replace("_", "-")


def test_the_tree_in_the_docstring_names_every_exception():
    tree = errors.__doc__ or ""
    raised = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, InitcfgError)
    ]
    assert [each.__name__ for each in raised if each.__name__ not in tree] == []


def test_a_message_that_quotes_a_long_text_is_cut_in_its_middle() -> None:
    message = Diagnostic(Code.LAYOUT, f"{'x' * 100_000!r} is not a layout").message
    assert len(message) < 420
    assert message.startswith("'xxx")
    assert message.endswith("xx' is not a layout")


def told(*messages: str) -> list[str]:
    return [each.message for each in fold_copies(Diagnostic(Code.NOT_IN_SPEC, text) for text in messages)]


@pytest.mark.parametrize(
    ("messages", "folded"),
    [
        (["'h.0.w' is", "'h.1.w' is", "'h.3.w' is"], ["'h.{0..1,3}.w' is (x3)"]),
        (["'h.0.1' is", "'h.0.2' is", "'h.1.1' is", "'h.1.2' is"], ["'h.{0..1}.{1..2}' is (x4)"]),
        (["'h.1.w' is", "'x' is", "'h.0.w' is"], ["'h.{0..1}.w' is (x2)", "'x' is"]),
        # What differs in more than the numbers of names stays apart: values, shapes, other names.
        (["'h.0.w' is 0.1", "'h.1.w' is 0.2"], ["'h.0.w' is 0.1", "'h.1.w' is 0.2"]),
        (["'h.3.w' is (3, 4)", "'h.4.w' is (3, 4)"], ["'h.{3..4}.w' is (3, 4) (x2)"]),
        (["'h.0.w' ties 'h.0.b'", "'h.1.w' ties 'h.1.b'"], ["'h.{0..1}.w' ties 'h.{0..1}.b' (x2)"]),
        (["'h.0.w' ties 'h.1.w'", "'h.1.w' ties 'h.2.w'"], ["'h.0.w' ties 'h.1.w'", "'h.1.w' ties 'h.2.w'"]),
        # Neither a leading zero nor a mark that a name brings along is a number of a copy.
        (["'h.01.w' is", "'h.02.w' is"], ["'h.01.w' is", "'h.02.w' is"]),
        (["h.0.\07\0", "h.1.\07\0"], ["h.{0..1}.\07\0 (x2)"]),
    ],
)
def test_copies_of_a_layer_are_told_as_one(messages: list[str], folded: list[str]) -> None:
    assert told(*messages) == folded


def test_of_copies_with_other_values_the_first_is_told() -> None:
    problems = [
        Diagnostic(
            Code.VALUES, f"{name!r}[{at}, 1] is 0.{at} in the file, the plan makes 0; {at} of 9 differ"
        )
        for at, name in enumerate(["h.0.w", "h.1.w", "a[3] is b.0", "a[3] is c.0", "h.2.w"])
    ]
    assert [each.message for each in fold_copies(problems)] == [
        "'h.0.w'[0, 1] is 0.0 in the file, the plan makes 0; 0 of 9 differ; likewise in 'h.{0..2}.w' (x3)",
        problems[2].message,
        problems[3].message,
    ]


def test_an_exception_tells_copies_as_one_and_holds_each() -> None:
    error = SpecError(*(Diagnostic(Code.TIED, f"'h.{at}.w' is tied") for at in range(12)))
    assert str(error) == "error[tied]: 'h.{0..11}.w' is tied (x12)"
    assert len(error.diagnostics) == 12


def test_copies_in_other_places_of_a_document_are_told_each_but_for_names_of_a_manifest() -> None:
    places = [Location("m.json", line, 3) for line in (3, 9)]
    for code, count in ((Code.VALUES, 2), (Code.NOT_IN_SPEC, 1)):
        problems = [Diagnostic(code, f"'h.{at}.w'", place) for at, place in enumerate(places)]
        assert len(fold_copies(problems)) == count
    assert fold_copies(problems)[0].where == places[0]


class TestWhatIsToldOfVeryManyProblems:
    found = tuple(
        Diagnostic(Code.SHAPE, f"problem {at}", Location("a.yaml", at + 1, 1)) for at in range(MAX_TOLD + 7)
    )

    @pytest.mark.parametrize(
        ("more", "last"),
        [(0, "problem 99"), (1, "1 more problem is not shown"), (7, "7 more problems are not shown")],
    )
    def test_is_how_many_more_there_are(self, more, last) -> None:
        told = capped(iter(self.found[: MAX_TOLD + more]))
        assert tuple(told[:MAX_TOLD]) == self.found[:MAX_TOLD]
        assert told[-1].message == last
        assert len(told) == MAX_TOLD + (more > 0)

    def test_is_where_the_search_ended(self) -> None:
        assert stopped(self.found[:5], "the set") == [*self.found[:5]]
        assert stopped([], "the set") == []
        assert stopped(self.found, "the set")[-1].message == (
            "after 100 problems the rest of the set was not looked at"
        )


def test_no_other_module_has_a_limit_of_its_own() -> None:
    """A planted limit is found by the same pattern."""
    own = re.compile(r"^_?(MOST|MAX_(FAULTS|PROBLEMS|TOLD|NAMED|ERRORS)) *= *100$|\[: *100\]", re.MULTILINE)
    assert own.search("_MAX_PROBLEMS = 100")
    package = Path(errors.__file__).parent
    found = [path for path in package.rglob("*.py") if own.search(path.read_text("utf-8"))]
    assert found == [package / "errors.py"]


def test_copies_that_hold_nan_are_no_copies_of_one_with_another_number() -> None:
    said = {"h.0.w": "2.0", "h.1.w": "nan", "h.2.w": "2.0", "h.3.w": "nan"}
    problems = [
        Diagnostic(Code.VALUES, f"{name!r}[0] is {value} in 'f', not 1") for name, value in said.items()
    ]
    assert [each.message for each in fold_copies(problems)] == [
        "'h.0.w'[0] is 2.0 in 'f', not 1; likewise in 'h.{0,2}.w' (x2)",
        "'h.1.w'[0] is nan in 'f', not 1; likewise in 'h.{1,3}.w' (x2)",
    ]
