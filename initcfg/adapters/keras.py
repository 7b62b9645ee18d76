"""Keras models: what their weights are called, and their shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.manifest import Manifest, ManifestEntry

if TYPE_CHECKING:
    import keras

__all__ = ["manifest"]


def manifest(model: keras.Model) -> Manifest:
    """The names, shapes and dtypes of a model's weights, in the order of ``model.weights``.

    Keras joins names with ``/``; here they are joined with ``.``, and the model's own name in front, which
    Keras numbers anew in each process, is left out: ``sequential_1/fc/kernel`` is ``fc.kernel``.

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
    if not model.built:
        message = f"the model {model.name!r} has no weights yet"
        raise _refused(Code.MANIFEST, message, "build it first: call it, or model.build(input_shape)")
    entries: dict[str, ManifestEntry] = {}
    for weight in model.weights:
        name = weight.path.removeprefix(f"{model.name}/").replace("/", ".")
        if name in entries:
            message = f"two weights of the model {model.name!r} are called {weight.path!r}"
            raise _refused(Code.DUPLICATE_PARAMETER, message, "give the layers names of their own")
        entries[name] = ManifestEntry(tuple(weight.shape), weight.dtype)
    return Manifest(entries)


def _refused(code: Code, message: str, hint: str) -> SpecError:
    return SpecError(Diagnostic(code, message, hint=hint))
