"""A spec read out of a Keras model: its layers' initializers and the shapes of its weights."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from initcfg.adapters.keras.schemes import Unknown, scheme_of
from initcfg.adapters.keras.weights import Owners, manifest_of, weights_of
from initcfg.draft.layers import Group, Places
from initcfg.dtypes import DEFAULT_DTYPE
from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.globs import GlobSet
from initcfg.names import did_you_mean
from initcfg.spec import Layer, Param, Rule, Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import keras

    from initcfg.initializers import Initializer
    from initcfg.manifest import Manifest


def spec(model: keras.Model, *, initializers: Mapping[str, Any] | None = None) -> Spec:
    """The spec of a model as Keras itself begins it: a parameter for each weight, in the model's order.

    Each weight has the law and the seed that its layer's config says, in the layout ``in_out``. An LSTM's
    bias becomes a ``concatenate`` with ones for the forget gate; kernels of EinsumDense and attention get the
    axes of their equations. A layer of your own is taken at its word, by Keras's custom: its weight ``NAME``
    begins as its ``NAME_initializer`` says. What only code decides cannot be read, and is an error unless it
    is said here.

    One thing differs on purpose: an initializer without a seed that several layers share gives each weight
    values of its own, where Keras repeats the first.

    Args:
        model: built, so that its weights have shapes.
        initializers: initializers by patterns over full names, in the place of the model's; the first that
            matches decides. Anything that `initcfg.Param` takes, or None for weights that are to be skipped.

    Returns:
        A spec for `initcfg.make_plan`; `initcfg.spec.dump_yaml` writes it down.

    Raises:
        SpecError: as `manifest`; weights of which it is not known how they begin, all of them told (code
            ``no-initializer``); a pattern that matches none (code ``unused-rule``).

    Example:
        >>> import keras
        >>> from initcfg.spec import dump_yaml
        >>> layers = [keras.Input((784,)), keras.layers.Dense(10, name="logits")]
        >>> print(dump_yaml(spec(keras.Sequential(layers, name="mlp"))), end="")
        initcfg: 1
        name: mlp
        layout: in_out
        layers:
          logits:
            params:
              kernel: {shape: [784, 10], initializer: glorot_uniform}
              bias: {shape: [10], initializer: zeros}
    """
    weights = weights_of(model)
    found = manifest_of(weights)
    given = _given(found, initializers or {})
    owners = Owners(model)
    schemes: dict[str, Any] = {}
    problems = []
    for name, weight in weights.items():
        scheme = given[name] if name in given else _scheme(owners, weight)
        if isinstance(scheme, Unknown):
            message = f"the model does not say how {name!r} begins: {scheme.reason}"
            hint = f"say it, as in spec(model, initializers={{{name!r}: 'zeros'}}), or None to skip it"
            problems.append(Diagnostic(Code.NO_INITIALIZER, message, hint=hint))
        schemes[name] = scheme
    if problems:
        raise SpecError(*problems)
    skips = [pattern for pattern, scheme in (initializers or {}).items() if scheme is None]
    return _written(model.name, found, schemes, skips)


def _scheme(owners: Owners, weight: keras.Variable) -> Initializer | Unknown:
    layer = owners.maker(weight)
    if layer is None:
        names = " and ".join(repr(holder.name) for holder in owners.holders(weight))
        return Unknown(f"the layers {names} hold it, and none says that it made it")
    return scheme_of(layer, weight.name)


def _given(manifest: Manifest, initializers: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller says, by full names; a SpecError where a pattern is malformed or matches nothing."""
    globs = GlobSet((pattern, None) for pattern in initializers)
    winners = {name: globs.first(name, 0) for name in manifest.entries}
    unused = [
        Diagnostic(
            Code.UNUSED_RULE,
            f"{pattern!r} matches no weight of the model that no pattern before it matches",
            hint=did_you_mean(pattern, manifest.entries)
            or "initcfg.adapters.keras.manifest(model) has the names",
        )
        for at, pattern in enumerate(initializers)
        if at not in winners.values()
    ]
    if unused:
        raise SpecError(*unused)
    values = list(initializers.values())
    return {name: values[at] for name, at in winners.items() if at is not None}


def _written(model: str, manifest: Manifest, schemes: Mapping[str, Any], skips: Iterable[str]) -> Spec:
    dtypes = Counter(str(entry.dtype) for entry in manifest.entries.values())
    dtype = dtypes.most_common(1)[0][0] if dtypes else DEFAULT_DTYPE
    places = Places()
    params: dict[str, Param] = {}
    layers: dict[str, dict[str, Param]] = {}
    for name, entry in manifest.entries.items():
        place = places.of(Group(tuple(name.split(".")), entry))
        here = params if place.layer is None else layers.setdefault(place.layer, {})
        here[place.key] = Param(
            shape=entry.shape,
            initializer=schemes[name],
            dtype=None if entry.dtype == dtype else entry.dtype,
        )
    made = {key: Layer(repeat=places.repeats.get(key), params=each) for key, each in layers.items()}
    rules = tuple(Rule(match=pattern, skip=True) for pattern in skips)
    stated = None if dtype == DEFAULT_DTYPE else dtype
    return Spec(name=model, dtype=stated, layout="in_out", params=params, layers=made, rules=rules)
