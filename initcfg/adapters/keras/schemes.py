"""A spec read out of a Keras model: the initializers that its layers hold, as those of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from initcfg.adapters.keras.weights import Owners, manifest_of, weights_of
from initcfg.capture.captured import Captured
from initcfg.capture.values import Recorded, Unsaid
from initcfg.dtypes import DEFAULT_DTYPE
from initcfg.errors import InitializerError
from initcfg.initializers import (
    BUILTINS,
    Concatenate,
    Constant,
    GlorotUniform,
    Initializer,
    Ones,
    TruncatedNormal,
    Zeros,
    get,
)
from initcfg.initializers.registry import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def translated(value: Any) -> Initializer | Unsaid:
    """The initializer with the law and seed of what a layer holds, or why there is none."""
    if isinstance(value, Initializer):
        return value
    cls = type(value)
    # A class of one's own may bear a name of Keras's.
    if getattr(keras.initializers, cls.__name__, None) is not cls:
        return Unsaid(f"{_named(value)} is code, not one of Keras's initializers")
    try:
        scheme: Initializer = get(value)
        return scheme
    except InitializerError as error:
        return Unsaid("; ".join(problem.message for problem in error.diagnostics))


def _named(value: object) -> str:
    return f"the function {value.__name__!r}" if hasattr(value, "__name__") else type(value).__name__


def register_with_keras(register: Callable[..., Callable[[type], type]]) -> None:
    """Enter the built-ins as ``initcfg>HeNormal`` and so on, by ``keras.saving.register_keras_serializable``.

    Without it Keras writes such a model and reads its own class of the same name back, or fails.
    """
    for cls in BUILTINS:
        register(package=PACKAGE)(cls)


Scheme = Initializer | Unsaid


def scheme_of(layer: keras.Layer, weight: str) -> Scheme:
    """The initializer of a built layer's own weight, such as ``kernel``, or why it is not known.

    Keras layers that call a weight's initializer otherwise than ``NAME_initializer``, or have none for it,
    are told apart by the class that has the ``build``, for that makes the weights.
    """
    if getattr(layer, "quantization_mode", None) is not None:
        return Unsaid(f"the layer is quantized to {layer.quantization_mode}")
    special = [cls for cls in type(layer).__mro__ if _is_of_keras(cls) and cls.__name__ in _SPECIAL]
    builder = next(cls for cls in type(layer).__mro__ if "build" in vars(cls))
    if special and not _is_of_keras(builder):
        return Unsaid(f"{builder.__name__} has a build in the place of {special[0].__name__}'s")
    rules = _SPECIAL.get(builder.__name__, {}) if special else {}
    rule = rules.get(weight) or rules.get(_ANY)
    return rule(layer) if rule else _attribute(f"{weight}_initializer")(layer)


def _is_of_keras(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "keras"


def _attribute(name: str) -> Callable[[Any], Scheme]:
    """The rule that an attribute holds the initializer."""

    def rule(layer: Any) -> Scheme:
        if getattr(layer, name, None) is None:
            return Unsaid(f"{type(layer).__name__} has no {name}")
        return translated(getattr(layer, name))

    return rule


def _fixed(initializer: Initializer) -> Callable[[Any], Scheme]:
    """The rule that Keras's code names the initializer."""
    return lambda _: initializer


def _layer_scale(layer: Any) -> Scheme:
    """The one number that all elements begin as."""
    return Constant(layer.init_values)


def _forget_bias(units: str) -> Callable[[Any], Scheme]:
    """The rule of an LSTM: ones for the forget gate, the second of four, where it is asked to."""

    def rule(layer: Any) -> Scheme:
        scheme = translated(layer.bias_initializer)
        if not layer.unit_forget_bias or isinstance(scheme, Unsaid):
            return scheme
        size = getattr(layer, units)
        # The last two gates are made in one call.
        return Concatenate(axis=0, sizes=(size, size, 2 * size), initializers=(scheme, Ones(), scheme))

    return rule


def _root_of_variance(layer: Any) -> Scheme:
    """The square root of what makes the variance; of two schemes only it is one as well."""
    scheme = translated(layer.moving_variance_initializer)
    if isinstance(scheme, Ones | Zeros | Unsaid):
        return scheme
    return Unsaid(f"the square root of {scheme!r} is none of our initializers")


def _einsum_kernel(layer: Any) -> Scheme:
    """The kernel's initializer, with the axes of the equation where Keras gives them to its own."""
    scheme, theirs = translated(layer.kernel_initializer), layer.kernel_initializer
    gives_axes = hasattr(layer, "_update_kernel_initializer")
    if not gives_axes or not isinstance(theirs, keras.initializers.VarianceScaling):
        return scheme
    if isinstance(scheme, Unsaid) or not (theirs.input_axes is None or theirs.output_axes is None):
        return scheme
    kernel, _, output = layer.equation.replace("...", "").partition(",")[2].partition("->")
    axes = {
        "input_axes": [at for at, letter in enumerate(kernel) if letter not in output],
        "output_axes": [at for at, letter in enumerate(kernel) if letter in output],
    }
    return scheme.from_config(scheme.get_config() | axes)


_recurrent = _attribute("recurrent_initializer")

# A weight that the layer gives no name, so that Keras numbers it: variable_3.
_ANY = "*"

# By the class that has the build, and by the weight's own name.
_SPECIAL: Mapping[str, Mapping[str, Callable[[Any], Scheme]]] = {
    "AdditiveAttention": {"scale": _fixed(GlorotUniform())},
    "Attention": {"scale": _fixed(Ones()), "concat_score_weight": _fixed(Ones())},
    "BaseDepthwiseConv": {"kernel": _attribute("depthwise_initializer")},
    "BaseSeparableConv": {
        "depthwise_kernel": _attribute("depthwise_initializer"),
        "pointwise_kernel": _attribute("pointwise_initializer"),
    },
    "BatchNormalization": {
        "moving_stddev": _root_of_variance,
        "renorm_mean": _attribute("moving_mean_initializer"),
        "renorm_stddev": _root_of_variance,
    },
    "ConvLSTMCell": {"recurrent_kernel": _recurrent, "bias": _forget_bias("filters")},
    "EinsumDense": {"kernel": _einsum_kernel},
    "GRUCell": {"recurrent_kernel": _recurrent},
    "LayerScale": {_ANY: _layer_scale},
    "LSTMCell": {"recurrent_kernel": _recurrent, "bias": _forget_bias("units")},
    "Normalization": {"mean": _fixed(Zeros()), "variance": _fixed(Ones()), "count": _fixed(Zeros())},
    "RMSNormalization": {"scale": _fixed(Ones())},
    "ReversibleEmbedding": {"reverse_embeddings": _attribute("embeddings_initializer")},
    "SimpleRNNCell": {"recurrent_kernel": _recurrent},
    "SpectralNormalization": {"vector_u": _fixed(TruncatedNormal(stddev=0.02))},
}


def capture(model: keras.Model) -> Captured:
    """The spec of a model as Keras itself begins it, written as a person would.

    Each weight has the law and the seed that its layer's config says, in the layout ``in_out``; numbered
    layers are taken together, and rules say what weights have in common. An LSTM's bias becomes a
    ``concatenate`` with ones for the forget gate; kernels of EinsumDense and attention get the axes of their
    equations. A layer of your own is taken at its word, by Keras's custom: its weight ``NAME`` begins as its
    ``NAME_initializer`` says. What only code decides cannot be read: it is in ``unsaid`` with its reason, and
    a rule of the spec skips it until you put another in its place.

    One thing differs on purpose: an initializer without a seed that several layers share gives each weight
    values of its own, where Keras repeats the first.

    Args:
        model: built, so that its weights have shapes.

    Returns:
        The spec, as text with comments too; `initcfg.make_plan` takes ``captured.spec``.

    Raises:
        SpecError: as `manifest`.

    Example:
        >>> import keras
        >>> layers = [keras.Input((784,)), keras.layers.Dense(10, name="logits")]
        >>> [rule.match for rule in capture(keras.Sequential(layers, name="mlp")).spec.rules]
        ['**.bias', '**']
    """
    weights, owners = weights_of(model), Owners(model)
    recorded = []
    for name, entry in manifest_of(weights).entries.items():
        scheme, layer = _scheme(owners, weights[name]), owners.maker(weights[name])
        kind = type(layer).__name__ if layer else ""
        recorded.append(Recorded(name, entry.shape, entry.dtype or DEFAULT_DTYPE, scheme, kind))
    return Captured(model.name, recorded, layout="in_out")


def _scheme(owners: Owners, weight: keras.Variable) -> Initializer | Unsaid:
    layer = owners.maker(weight)
    if layer is None:
        names = " and ".join(repr(holder.name) for holder in owners.holders(weight))
        return Unsaid(f"the layers {names} hold it, and none says that it made it")
    return scheme_of(layer, weight.name)
