"""Names: Keras's, snake_case, aliases, registered ones; a collision is an error and a typo gets a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from initcfg import initializers
from initcfg.errors import Code, InitializerError
from initcfg.initializers import (
    BuiltIn,
    Identity,
    Initializer,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    Zeros,
    canonical_name,
    known_names,
    lookup,
    register,
    registry,
    unknown_initializer,
)
from initcfg.initializers.registry import PACKAGE, aliases_of


@pytest.fixture(autouse=True)
def registrations_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TABLE", dict(registry._TABLE))
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))


class Ramp(Initializer):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.zeros(shape, dtype)


def test_built_ins_answer_to_class_name_and_snake_case(built_in: type[BuiltIn]) -> None:
    assert lookup(built_in.__name__) is built_in
    assert lookup(canonical_name(built_in)) is built_in
    assert canonical_name(built_in) in known_names()


def test_built_ins_answer_to_the_names_under_which_keras_knows_them(built_in: type[BuiltIn]) -> None:
    assert lookup(f"{PACKAGE}>{built_in.__name__}") is built_in
    assert lookup(f"lab>{built_in.__name__}") is None


@pytest.mark.parametrize(
    ("alias", "cls"),
    [
        ("normal", RandomNormal),
        ("uniform", RandomUniform),
        ("zero", Zeros),
        ("zeros", Zeros),
        ("one", Ones),
        ("ones", Ones),
        ("IdentityInitializer", Identity),
        ("OrthogonalInitializer", Orthogonal),
    ],
)
def test_the_aliases_of_keras_hold(alias: str, cls: type[Initializer]) -> None:
    assert lookup(alias) is cls
    assert alias == canonical_name(cls) or alias in aliases_of(cls)


def test_case_matters_and_no_name_is_made_up() -> None:
    for name in ("ZEROS", "Random_Normal", "randomnormal", "", "Initializer", "constant "):
        assert lookup(name) is None


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("xavier_uniform_", "PyTorch's xavier_uniform_ is written xavier_uniform"),
        ("torch.nn.init.zeros_", "PyTorch's zeros_ is written zeros"),
        ("init.eye_", "PyTorch's eye_ is written eye"),
        ("nn.init.normal_", "PyTorch's normal_ is written {random_normal: {stddev: 1}}"),
        ("nn.init.uniform", "PyTorch's uniform is written {random_uniform: {minval: 0, maxval: 1}}"),
        ("constant_", "PyTorch's constant_ is written {constant: {value: 0.1}}"),
        ("trunc_normal_(std=0.02)", "arguments are written {trunc_normal: {std: 0.02}}"),
        ("nn.init.trunc_normal_(w, std=0.02)", "arguments are written {trunc_normal: {std: 0.02}}"),
        ("kaiming_normal(0.1)", "arguments are written {kaiming_normal: {argument: value}}"),
        ("jax.nn.initializers.he_normal", "write the name without its module: he_normal"),
        ("jax.nn.initializers.kaiming_normal", "JAX's kaiming_normal is written he_normal"),
        ("nn.linen.initializers.xavier_uniform", "JAX's xavier_uniform is written glorot_uniform"),
        ("jax.nn.initializers.normal", "JAX's normal is written {random_normal: {stddev: 0.01}}"),
        ("keras.initializers.HeNormal", "write the name without its module: HeNormal"),
    ],
)
def test_a_name_from_elsewhere_gets_the_one_that_it_has_here(written: str, hint: str) -> None:
    assert lookup(written) is None
    assert unknown_initializer(written).hint == hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("glorot_unifrom", "did you mean 'glorot_uniform'?"),
        ("GlorotUnifrom", "did you mean 'GlorotUniform'?"),
        ("zeross", "did you mean 'zeros'?"),
        ("resdual", "did you mean 'residual'?"),
    ],
)
def test_an_unknown_name_gets_the_nearest_as_a_hint(name: str, hint: str) -> None:
    problem = unknown_initializer(name, others=["residual"])
    assert (problem.code, problem.hint) == (Code.UNKNOWN_INITIALIZER, hint)


def test_where_nothing_is_near_a_short_hint_says_what_lists_the_names() -> None:
    hint = unknown_initializer("qqq").hint
    assert hint == "initcfg initializers lists the names, with --search WORD those about it"
    own = unknown_initializer("qqq", others=[f"made_{rank:02}" for rank in range(30)]).hint
    assert own == f"{hint}; the document's own are made_00, made_01, made_02, made_03, made_04 and 25 more"


def test_a_registered_class_answers_to_three_names() -> None:
    assert register(Ramp, package="lab") is Ramp
    assert lookup("lab>Ramp") is lookup("Ramp") is lookup("ramp") is Ramp
    assert canonical_name(Ramp) == "ramp"
    assert "ramp" in known_names()


def test_register_is_a_decorator_with_or_without_arguments() -> None:
    @register
    class First(Ramp):
        pass

    @register(package="lab", name="Deux")
    class Two(Ramp):
        pass

    assert lookup("Custom>First") is lookup("first") is First
    assert lookup("lab>Deux") is lookup("deux") is Two
    assert lookup("Two") is None
    assert canonical_name(Two) == "deux"


@pytest.mark.parametrize("name", ["Zeros", "normal", "glorot_uniform", "IdentityInitializer"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(InitializerError, match="is taken by") as caught:
        register(Ramp, name=name)
    assert caught.value.diagnostics[0].code == Code.HIDDEN_NAME
    with pytest.raises(InitializerError):
        canonical_name(Ramp)


def test_two_classes_cannot_have_one_name() -> None:
    register(Ramp, package="lab")

    class Other(Ramp):
        pass

    with pytest.raises(InitializerError, match=r"'Ramp' is taken by .*\.Ramp"):
        register(Other, package="elsewhere", name="Ramp")
    assert lookup("Ramp") is Ramp


def test_a_class_that_is_defined_again_takes_the_place_of_the_old_one() -> None:
    def cell() -> type[Initializer]:
        @register
        class Again(Ramp):
            pass

        return Again

    first, second = cell(), cell()
    assert lookup("again") is second
    with pytest.raises(InitializerError, match="not registered"):
        canonical_name(first)


def test_only_initializer_classes_are_registered() -> None:
    for thing in (np.zeros, Ramp(), int):
        with pytest.raises(InitializerError, match="only subclasses of Initializer"):
            register(thing)  # type: ignore[type-var]


def test_a_built_in_cannot_be_registered_and_keeps_its_names() -> None:
    for name in (None, "Other"):
        with pytest.raises(InitializerError, match="RandomNormal is built in") as caught:
            register(RandomNormal, name=name)
        assert caught.value.diagnostics[0].code == Code.HIDDEN_NAME
    assert lookup("normal") is lookup("random_normal") is RandomNormal


@pytest.mark.parametrize("name", ["", "---", "1st", "lab>Ramp", 5])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(InitializerError, match="is not a name for an initializer") as caught:
        register(Ramp, name=name)
    assert caught.value.diagnostics[0].code == Code.BAD_NAME
    with pytest.raises(InitializerError, match="not registered"):
        canonical_name(Ramp)


def test_no_module_takes_the_name_of_a_shortcut() -> None:
    """A submodule that is imported becomes an attribute of the package, in the place of the class."""
    modules = {path.stem for path in Path(initializers.__file__).parent.glob("*.py")}
    assert modules & set(initializers.__all__) == set()


def test_only_the_names_of_the_first_built_ins_are_kept_from_documents() -> None:
    """A name that joined these would make a document wrong that has it for an initializer of its own."""
    kept = {name for name in registry._TABLE if isinstance(registry._TABLE[name], str)}
    kept = {name for name in kept if not registry.is_free(name)}
    assert {name for name in kept if name[0].islower()} == {
        *("zero", "zeros", "one", "ones", "constant", "normal", "random_normal", "uniform", "random_uniform"),
        *("truncated_normal", "variance_scaling", "glorot_normal", "glorot_uniform", "he_normal"),
        *("he_uniform", "lecun_normal", "lecun_uniform", "identity", "orthogonal", "concatenate"),
    }
    assert len(kept) == 20 + 16 + 2
