"""The layers of a Keras model, which of them made a variable, and the ways down to them by their names.

Keras has no public names for these: ``Model.layers`` leaves out the layers inside of layers, and
``Layer.weights`` holds the weights of those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras

__all__ = ["Owners", "Ways", "layers_of"]


def layers_of(model: keras.Model) -> list[keras.Layer]:
    """The model itself and all layers in it, however deep, each once."""
    layers: list[keras.Layer] = model._flatten_layers()
    return layers


class Owners:
    """The layers that hold each variable of a model.

    Args:
        model: built.
    """

    def __init__(self, model: keras.Model) -> None:
        self._holders: dict[int, list[keras.Layer]] = {}
        for layer in layers_of(model):
            for variable in _own(layer):
                self._holders.setdefault(id(variable), []).append(layer)

    def maker(self, variable: keras.Variable) -> keras.Layer | None:
        """The layer that made a variable, or None where that cannot be told from others that hold it."""
        holders = self._holders[id(variable)]
        # A variable's path ends in the name of the layer that made it and its own.
        makers = [layer for layer in holders if variable.path.split("/")[-2:-1] == [layer.name]]
        found = makers or holders
        return found[0] if len(found) == 1 else None

    def holders(self, variable: keras.Variable) -> list[keras.Layer]:
        """The layers that hold a variable as their own."""
        return self._holders[id(variable)]


class Ways:
    """The ways from a model down its layers, by their names.

    Args:
        model: built.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._below: dict[int, dict[str, list[keras.Layer]]] = {}
        for layer in layers_of(model):
            below = self._below.setdefault(id(layer), {})
            for inner in layer._layers:
                below.setdefault(inner.name, []).append(inner)

    def lead(self, names: Sequence[str], variable: keras.Variable) -> bool:
        """Whether one goes from layer to layer by these names, and the last holds a variable as its own."""
        found: list[keras.Layer] = [self._model]
        for name in names:
            found = [inner for layer in found for inner in self._below[id(layer)].get(name, ())]
        return any(each is variable for layer in found for each in _own(layer))


def _own(layer: keras.Layer) -> tuple[keras.Variable, ...]:
    return (*layer._trainable_variables, *layer._non_trainable_variables)
