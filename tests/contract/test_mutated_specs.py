"""Specs with a few random changes: each is valid or is told where it is wrong, and nothing else happens.

Every one is written as YAML and as JSON, read with the files that it names, planned and checked.
`INITCFG_MUTATIONS` in the environment sets how many are tried.
"""

from __future__ import annotations

import copy
import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from initcfg.checks import check_plan
from initcfg.errors import SpecError
from initcfg.plan import plan_reading
from initcfg.spec import reads
from initcfg.spec.files import read_file
from initcfg.text.yaml_writer import write_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("INITCFG_MUTATIONS", "1500"))
BLOCKS = 10
# Values that a change puts somewhere: one of each kind, the edges of the bounds, and what other places take.
# fmt: off
SCALARS = [
    None, True, False, 0, 1, -1, 2, 3, 1.5, 2.0, -0.5, 2**63, 2**64, 10**30, 1e300, -0.0, 5e-324, "", " ",
    "zeros", "concatenate", "glorot_uniform", "GlorotUniform", "float32", "float8_e5m2", "in_out", "OIHW",
    "fan_in", "normal", "0.5", "a b", "d\n", "1x", "random-bias", "unknown-key", "**.b", "[", "{i}", "{",
    "d", "1 / 0", "2 ** 2 ** 64", "i", "d // 0", "max(", "width(9)", "\u00e9\U0001f600", "\u202e",
    "shapes.yaml", "spec.yaml", "../spec.yaml", "shared/base.yaml", "nowhere.json", "/etc/passwd", "\x00",
    "1e-3", "no", "**",
]
KEYS = [
    "initcfg", "name", "seed", "dtype", "layout", "stream_version", "vars", "initializers", "layers",
    "params", "shape", "initializer", "stream", "tied_to", "repeat", "from", "to", "step", "class_name",
    "config", "module", "registered_name", "stddev", "scale", "mode", "value", "axis", "sizes", "zeros",
    "x-y", "", "9", "rules", "$schema", "i", "d\n", "match", "skip", "ndim", "allow", "code", "reason",
    "manifest", "extends", "nonsense", "{i}", "a.{", "h.0.w", "\u202e", "\x1b[31m", "fan_in", "sqrt",
]
# fmt: on


def seeds(*folders: str) -> list[tuple[Path, dict]]:
    """The specs in some folders whose text can be read, and their files."""
    found = []
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*")):
        if path.suffix in (".yaml", ".yml", ".json"):
            try:
                source = read_file(path)
            except SpecError:
                continue
            if isinstance(source.tree, dict) and not source.problems:
                # Without what aliases share, so that a value is in one place.
                found.append((path, small(json.loads(json.dumps(source.tree)))))
    return found


def small(document):
    """The document with its large vars small, so that one which becomes a count makes no large plan."""
    vars_ = document.get("vars")
    if isinstance(vars_, dict):
        less = {key: value % 60 + 4 for key, value in vars_.items() if type(value) is int and value > 64}
        return document | {"vars": vars_ | less}
    return document


VALID = seeds("configs", "tests/cases/valid")
ALL = [*VALID, *seeds("tests/cases/invalid")]


def places(node, path=()):
    """The path of every value of a document."""
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in children:
        yield from places(child, (*path, step))


def at(document, path):
    for step in path:
        document = document[step]
    return document


class Mutator:
    """Changes documents at random places, by a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def mutated(self) -> tuple[Path, dict]:
        """A document with one to three changes, and the file that it stands for."""
        path, document = self.random.choice(VALID if self.random.random() < 0.7 else ALL)
        document = copy.deepcopy(document)
        for _ in range(self.random.choice([1, 1, 2, 3])):
            self.change(document)
        return path, document

    def change(self, document):
        """Deletes, doubles, renames, retypes, inserts, wraps, moves or swaps a value."""
        paths = [path for path in places(document) if path]
        if not paths:
            return
        *above, step = self.random.choice(paths)
        parent = at(document, above)
        match self.random.choice(
            ["delete", "double", "rename", "retype", "retype", "insert", "wrap", "move", "swap"]
        ):
            case "delete":
                del parent[step]
            case "double" if isinstance(parent, list):
                parent.insert(step, copy.deepcopy(parent[step]))
            case "double":
                parent[f"{step}2"] = copy.deepcopy(parent[step])
            case "rename" if isinstance(parent, dict):
                parent[self.random.choice(KEYS)] = parent.pop(step)
            case "insert" if isinstance(parent, list):
                parent.insert(step, self.leaf())
            case "insert":
                parent[self.random.choice(KEYS)] = self.leaf()
            case "wrap":
                wrapped = [[parent[step]], {"zeros": parent[step]}, {self.random.choice(KEYS): parent[step]}]
                parent[step] = self.random.choice(wrapped)
            case "move":
                parent[step] = copy.deepcopy(at(document, self.random.choice(paths)))
            case "swap":
                self.swap(document, (*above, step), self.random.choice(paths))
            case _:
                parent[step] = self.leaf()

    def swap(self, document, one, other):
        """Two values change places, unless one holds the other."""
        if one[: len(other)] == other or other[: len(one)] == one:
            return
        first, second = at(document, one[:-1]), at(document, other[:-1])
        first[one[-1]], second[other[-1]] = second[other[-1]], first[one[-1]]

    def leaf(self):
        """A scalar, a list or a mapping that hardly ever suits its place."""
        kind = self.random.randrange(6)
        if kind == 0:
            return [self.random.choice(SCALARS) for _ in range(self.random.randrange(4))]
        if kind == 1:
            chosen = self.random.sample(KEYS, self.random.randrange(3))
            return {key: self.random.choice(SCALARS) for key in chosen}
        return self.random.choice(SCALARS)


def outcome(text: str, form: str, file: Path) -> list[tuple[object, ...]]:
    """What reading, planning and checking a text tells: codes and paths, each with a place in a text."""
    try:
        reading = reads(text, form, str(file))
        plan = plan_reading(reading)
    except SpecError as error:
        told, fingerprint = error.diagnostics, None
        assert told, "refused without a word"
    else:
        told = check_plan(plan, reading.spec.allow, reading.spec)
        fingerprint = plan.fingerprint
    for each in told:
        where = each.where
        assert where is not None, f"nowhere: {each}"
        assert where.file, f"in no file: {each}"
        assert where.line, f"in no line: {each}"
        assert where.column, f"in no column: {each}"
        assert len(str(each)) < 4000, f"endless: {str(each)[:200]}"
    return [(fingerprint,), *sorted((each.code.value, repr(each.where.path)) for each in told)]


def check(path: Path, document: dict, agreement) -> None:
    agreement.check(document)
    as_yaml = outcome(write_yaml(document), "yaml", path.with_name("mutated.yaml"))
    as_json = outcome(json.dumps(document, indent=1), "json", path.with_name("mutated.json"))
    assert as_yaml == as_json, "YAML and JSON are judged differently"


def failures(block: range, agreement, check=check) -> Iterator[str]:
    """What went wrong, whatever it was, with the seed and the document that show it."""
    for seed in block:
        path, document = Mutator(seed).mutated()
        before = copy.deepcopy(document)
        try:
            check(path, document, agreement)
            assert document == before, "the document was changed"
        except Exception as error:  # noqa: BLE001, RUF100 - any exception is a finding
            shown = json.dumps(before, ensure_ascii=False)[:3000]
            yield f"seed {seed}, {path.name}: {type(error).__name__}: {error}\n{shown}"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_mutated_spec_is_valid_or_is_told_where_it_is_wrong(block, agreement):
    found = list(failures(range(block, COUNT, BLOCKS), agreement))
    assert not found, f"{len(found)} of {COUNT // BLOCKS}\n" + "\n\n".join(found[:5])


def test_mutations_leave_some_specs_valid_and_spoil_most(agreement):
    refused = [bool(agreement.refused_by_models(Mutator(seed).mutated()[1])) for seed in range(400)]
    assert 100 < sum(refused) < 350
    assert len(VALID) >= 25


def plan_that_fails(_):
    raise KeyError("planted")


def plan_told_nowhere(reading, plan_reading=plan_reading):
    try:
        return plan_reading(reading)
    except SpecError as error:
        raise SpecError(*(each.at(None) for each in error.diagnostics)) from None


@pytest.mark.parametrize(
    ("fault", "told"), [(plan_that_fails, "KeyError: 'planted'"), (plan_told_nowhere, "nowhere: ")]
)
def test_a_fault_planted_in_the_planner_is_found(fault, told, agreement, monkeypatch):
    monkeypatch.setitem(globals(), "plan_reading", fault)
    assert any(told in each for each in failures(range(40), agreement))


@pytest.mark.parametrize("definition", ["Rule", "Allow", "Param", "Layer", "Spec"])
def test_a_key_that_only_the_schema_takes_is_found(definition, agreement):
    schema = copy.deepcopy(agreement.schema)
    part = schema if definition == "Spec" else schema["$defs"][definition]
    part["additionalProperties"] = True
    # Planning, which takes longest, says nothing of the schema.
    found = failures(range(2000), type(agreement)(schema), lambda _, document, judges: judges.check(document))
    assert next(found, "").count("models: [")
