"""The weights of a Keras model by dotted names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.manifest import Manifest, ManifestEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["manifest", "manifest_of", "other_variables", "weights_of"]


def manifest(model: keras.Model) -> Manifest:
    """The names, shapes and dtypes of a model's weights, in the order of ``model.weights``.

    Keras joins names with ``/``; here they are joined with ``.``, and the model's own name in front, which
    Keras numbers anew in each process, is left out: ``sequential_1/fc/kernel`` is ``fc.kernel``. Layers
    without a name are numbered in the same way, so give them names of their own.

    Args:
        model: built, so that its weights have shapes.

    Raises:
        SpecError: the model is not built (code ``manifest``), or two of its weights have one name (code
            ``duplicate-parameter``).

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(256, name="fc")])
        >>> {name: entry.shape for name, entry in manifest(model).entries.items()}
        {'fc.kernel': (784, 256), 'fc.bias': (256,)}
    """
    return manifest_of(weights_of(model))


def manifest_of(weights: Mapping[str, keras.Variable]) -> Manifest:
    """The names, shapes and dtypes of weights."""
    return Manifest(
        {name: ManifestEntry(tuple(weight.shape), _dtype(weight)) for name, weight in weights.items()}
    )


def weights_of(model: keras.Model) -> dict[str, keras.Variable]:
    """The weights by name, in the order of ``model.weights``.

    Raises:
        SpecError: as `manifest`.
    """
    if not model.built:
        message = f"the model {model.name!r} has no weights yet"
        raise _refused(Code.MANIFEST, message, "build it first: call it, or model.build(input_shape)")
    weights: dict[str, keras.Variable] = {}
    problems = []
    for weight in model.weights:
        name = weight.path.removeprefix(f"{model.name}/").replace("/", ".")
        if weights.setdefault(name, weight) is not weight:
            message = f"two weights of the model {model.name!r} are called {weight.path!r}"
            hint = "give the layers names of their own"
            problems.append(Diagnostic(Code.DUPLICATE_PARAMETER, message, hint=hint))
    if problems:
        raise SpecError(*problems)
    return weights


def other_variables(model: keras.Model) -> tuple[str, ...]:
    """The paths of the variables that are no weights: states of seeds, metrics and the optimizer."""
    optimizer = getattr(model, "optimizer", None)
    found = [*model.variables, *model.metrics_variables, *(optimizer.variables if optimizer else ())]
    weights = {id(weight) for weight in model.weights}
    # A seed generator may serve several layers.
    others = {id(variable): variable.path for variable in found if id(variable) not in weights}
    return tuple(others.values())


def _dtype(weight: keras.Variable) -> str:
    """The dtype of the values: JAX without x64 holds a float64 variable in float32."""
    name: str = keras.backend.standardize_dtype(weight.value.dtype)
    return name


def _refused(code: Code, message: str, hint: str) -> SpecError:
    return SpecError(Diagnostic(code, message, hint=hint))
