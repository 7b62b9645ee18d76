"""The four verbs: load a spec, make its plan, materialize the weights, save them to a file.

Each takes what the one before it gives, or what that one would have been given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from initcfg import spec
from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.initializers.registry import load_plugins
from initcfg.manifest import Manifest
from initcfg.plan import ParameterSlice, Plan, PlannedParameter, plan_reading
from initcfg.process import lazy
from initcfg.spec import Spec

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import numpy as np

    from initcfg import checks, sharding, stores, verification
    from initcfg.formats import manifests
    from initcfg.formats.reading import RenamesLike
    from initcfg.generate import files, memory
    from initcfg.generate.files import Written
    from initcfg.generate.pool import Progress
    from initcfg.manifest import ManifestEntry
    from initcfg.sharding import Published, Saved
    from initcfg.spec.overlay import Settings
    from initcfg.verification import Verification
else:  # a spec is checked without numpy and what makes weights
    checks, sharding, stores, verification, manifests, files, memory = (
        lazy(f"initcfg.{name}")
        for name in (
            *("checks", "sharding", "stores", "verification"),
            *("formats.manifests", "generate.files", "generate.memory"),
        )
    )

SpecLike = Spec | Mapping[str, Any] | str | os.PathLike[str]
PlanLike = Plan | SpecLike
ManifestLike = Manifest | Mapping[str, "ManifestEntry | Sequence[int]"] | str | os.PathLike[str]


def load_spec(
    source: SpecLike,
    *,
    root: str | os.PathLike[str] | None = None,
    settings: Settings = (),
    plugins: Iterable[str] = (),
) -> Spec:
    """Read and check a spec; what it extends is merged in.

    Args:
        source: a path that ends in ``.yaml``, ``.yml`` or ``.json``, or a mapping of the same content; a
            `Spec` is given back, with the settings put over it.
        root: the folder that the paths in ``extends`` and ``manifest`` may not leave. By default the current
            one if the spec is under it, else the spec's own.
        settings: values for ``seed``, ``dtype``, ``vars.X`` and ``initializers.X`` that the spec has, as
            ``{"vars.d": 1024}`` or as the texts of a command line, ``["vars.d=1024"]``.
        plugins: entry points of the group ``initcfg.initializers`` to load first, for this process.

    Raises:
        SpecError: with every problem found, each with its place.
        PluginError: a plugin is missing or unusable.

    Example:
        >>> document = {"initcfg": 1, "params": {"scale": {"shape": [], "initializer": "ones"}}}
        >>> load_spec(document, settings={"dtype": "bfloat16"}).dtype
        'bfloat16'
    """
    load_plugins(plugins)
    if isinstance(source, Spec) and source.extends is None and not settings:
        return source
    return spec.load(source, root=root, settings=settings)


def load_manifest(source: ManifestLike) -> Manifest:
    """The names and shapes of a model.

    Args:
        source: a path that ends in ``.json``, ``.yaml`` or ``.yml`` (``{"params": {"h.0.w": {"shape": [768,
            3072], "dtype": "float32"}}}``, dtype optional), in ``.safetensors``, ``.npz`` or
            ``.safetensors.index.json``; a folder with weights; or shapes by names. A `Manifest` is given
            back.

    Raises:
        SpecError: the document is no manifest; every problem has its place.
        FormatError: the weights cannot be read, or are malformed.

    Example:
        >>> load_manifest({"fc.weight": (256, 784), "fc.bias": (256,)}).entries["fc.bias"].shape
        (256,)
    """
    if isinstance(source, Manifest):
        return source
    if isinstance(source, Mapping):
        return Manifest(source)
    if not isinstance(source, str | os.PathLike):
        message = f"expected a path or a mapping of shapes, got {type(source).__name__}"
        hint = 'give {"fc.weight": (256, 784)}, or of a model what manifest() of its adapter makes'
        raise SpecError.of(Code.WRONG_TYPE, message, hint=hint)
    return manifests.read_manifest(source)


def make_plan(
    source: PlanLike,
    *,
    manifest: ManifestLike | None = None,
    root: str | os.PathLike[str] | None = None,
    settings: Settings = (),
    plugins: Iterable[str] = (),
) -> Plan:
    """Plan every parameter of a spec; nothing is allocated.

    Args:
        source: a `Spec`, or what `load_spec` takes; a `Plan` is given back.
        manifest: what `load_manifest` takes; in the place of the manifest that the spec names.
        root, settings, plugins: as in `load_spec`.

    Raises:
        SpecError, PluginError: as `load_spec`.
        FormatError: `manifest` is a file of weights that cannot be read.
        ValueError: `source` is a `Plan`, and something is to be changed about it.

    Example:
        >>> plan = make_plan({"initcfg": 1, "layout": "in_out", "layers": {"fc": {"params": {
        ...     "kernel": {"shape": [784, 256], "initializer": "he_normal"}}}}})
        >>> plan["fc.kernel"].fans
        Fans(fan_in=784, fan_out=256)
    """
    load_plugins(plugins)
    if isinstance(source, Plan):
        if manifest is not None or settings:
            raise ValueError("a plan is made already: give the manifest and the settings with its spec")
        return source
    model = None if manifest is None else load_manifest(manifest)
    return plan_reading(spec.read(source, root=root, settings=settings, manifest=model))


def find_warnings(
    source: PlanLike,
    *,
    manifest: ManifestLike | None = None,
    root: str | os.PathLike[str] | None = None,
    settings: Settings = (),
    plugins: Iterable[str] = (),
) -> tuple[Diagnostic, ...]:
    """What ``initcfg validate`` warns of: a plan that can be made, and is perhaps not what was meant.

    Args:
        source: what `make_plan` takes; of a `Plan` the spec's ``allow`` is not known and leaves nothing out.
        manifest, root, settings, plugins: as in `make_plan`.

    Returns:
        The warnings in the order of their places, and notes about rules and entries of ``allow``.

    Raises:
        SpecError, PluginError, FormatError, ValueError: as `make_plan`.

    Example:
        >>> document = {"initcfg": 1, "params": {"bias": {"shape": [512], "initializer": "random_normal"}}}
        >>> [str(warning.code) for warning in find_warnings(document)]
        ['random-bias']
    """
    if isinstance(source, Plan):
        return checks.check_plan(make_plan(source, manifest=manifest, settings=settings, plugins=plugins))
    read = load_spec(source, root=root, settings=settings, plugins=plugins)
    plan = make_plan(read, manifest=manifest, root=root)
    return (*plan.notes, *checks.check_plan(plan, read.allow, read))


@overload
def materialize(
    source: PlannedParameter | ParameterSlice,
    select: None = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> np.ndarray[Any, Any]: ...
@overload
def materialize(
    source: PlanLike,
    select: str | None = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> dict[str, np.ndarray[Any, Any]]: ...
def materialize(
    source: PlanLike | PlannedParameter | ParameterSlice,
    select: str | None = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> dict[str, np.ndarray[Any, Any]] | np.ndarray[Any, Any]:
    """Make the weights of a plan, of one planned parameter, or of a slice of one.

    Values depend on the seed, the parameter's name and the position of the element only. A slice is made
    without the rest of its parameter, unless that cannot be cut (an orthogonal matrix, or what custom code
    makes), and equals the slice of the whole, bit for bit. An array of 2 MiB or more is a view of memory that
    begins at a huge page, so that numpy refuses to ``resize`` it in place.

    Args:
        source: a `Plan` or what `make_plan` takes, for a dict in the plan's order, where tied names share an
            array; or ``plan["h.0.weight"]``, or a slice of it such as ``[:128]``, for one array.
        select: a glob over full names: ``*`` inside one segment, ``**`` across segments.
        threads: how many; by default one for each available CPU. The values do not depend on it.
        engine: ``native`` or ``numpy``, which give the same bits; None takes native where it is there.
        progress: called with the number of bytes done and the number in all.

    Raises:
        SpecError: the spec has problems, or `select` is malformed.
        UnknownParameterError: `select` matches nothing.
        InitializerError: no engine has that name, or a custom initializer returned something else than it was
            asked for.
        ValueError: `threads` is below 1.
        TypeError: `select` is given with something else than a plan.

    Example:
        >>> spec = {"initcfg": 1, "params": {"w": {"shape": [2, 3], "initializer": "random_normal"}}}
        >>> bool((materialize(spec)["w"][1] == materialize(make_plan(spec)["w"][1])).all())
        True
    """
    made = source if isinstance(source, PlannedParameter | ParameterSlice) else make_plan(source)
    return memory.materialize(made, select, threads=threads, engine=engine, progress=progress)


def save(
    source: PlanLike,
    path: str | os.PathLike[str],
    *,
    select: str | None = None,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
    write_tied: bool = False,
    metadata: Mapping[str, str] | None = None,
    carry_spec: bool = True,
) -> Written:
    """Write the weights of a plan to a file, whole or not at all, in bounded memory; gives what was written.

    Args:
        source: a `Plan` or what `make_plan` takes.
        path: ends in ``.safetensors`` or ``.npz``; a file that is there is replaced.
        select, threads, engine, progress: as in `materialize`.
        write_tied: write tied parameters as tensors of their own, as npz always does; otherwise a
            safetensors file leaves them out and lists them in its metadata.
        metadata: texts to store in the file beside the plan's fingerprint; keys that begin with ``initcfg.``
            are kept for this package.
        carry_spec: put the spec into the file too, if it takes 64 KiB at most, so that ``verify`` needs no
            other file.

    Raises:
        SpecError: the spec has problems.
        FormatError: the format cannot hold a name or dtype of the plan.
        OutputError: the file could not be written; what stood there before is untouched.
    """
    return files.write(
        make_plan(source),
        stores.local_path(path),
        select=select,
        threads=threads,
        engine=engine,
        progress=progress,
        write_tied=write_tied,
        metadata=metadata,
        carry_spec=carry_spec,
    )


def save_sharded(
    source: PlanLike,
    folder: str | os.PathLike[str],
    *,
    shard_size: int | str = "5GB",
    rank: int | None = None,
    world_size: int | None = None,
    executor: Executor | None = None,
    select: str | None = None,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
    write_tied: bool = False,
    metadata: Mapping[str, str] | None = None,
    carry_spec: bool = True,
    force: bool = False,
) -> Saved:
    """Write the weights of a plan to a folder of safetensors files, in Hugging Face's layout.

    The index comes last: while it is missing, no program takes the folder for a model. A run that was ended,
    by whatever, goes on where it was when it is started again; shards that are there are not made again.

    Args:
        source: a `Plan` or what `make_plan` takes.
        folder: a path, made where it is missing, or a URL of a file system of fsspec (extra ``remote``).
        shard_size: the most bytes of elements in one file: a number, or a text such as ``"5GB"`` or
            ``"500MiB"``. A tensor is never split.
        rank: write only the share of this process among `world_size`, and leave the index to `finalize`. The
            shares follow from the plan, and no process needs to hear of another.
        world_size: how many processes there are.
        executor: has the shards written, one task each: any of Python's executors, dask's, or
            `initcfg.adapters.ray.RayExecutor`. None writes them here, one after another.
        select, engine: as in `materialize`.
        threads: how many; by default one for each available CPU here, and one in each task of an executor.
        progress: as in `materialize`; with an executor it counts finished shards.
        write_tied, metadata, carry_spec: as in `save`; the spec goes into the index alone.
        force: remove the shards and the index of another set that stand in the folder, which is otherwise
            refused. Other files are never touched.

    Returns:
        A receipt for each shard of this run, and the path of the index.

    Raises:
        SpecError: the spec has problems, or the plan holds code, by which two sets could not be told apart.
        FormatError: safetensors cannot hold a name or a dtype of the plan.
        OutputError: the folder holds another set, or a file could not be written; finished shards are kept.
        ValueError: `shard_size`, `rank` or `world_size` make no sense.

    Example:
        >>> import tempfile
        >>> layer = {"repeat": {"i": 6}, "params": {"w": {"shape": [256, 256], "initializer": "he_normal"}}}
        >>> spec = {"initcfg": 1, "layout": "in_out", "layers": {"h.{i}": layer}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saved = save_sharded(spec, folder, shard_size="600kB")
        ...     verify(folder, spec).is_equal
        True
        >>> saved.receipts[0].name, len(saved.receipts)
        ('model-00001-of-00003.safetensors', 3)
    """
    stores.require_folder(folder)
    own = None if rank is None and world_size is None else sharding.Rank.of(rank, world_size)
    shards = sharding.shard_set(
        make_plan(source),
        sharding.shard_bytes(shard_size),
        select=select,
        write_tied=write_tied,
        metadata=metadata,
        carry_spec=carry_spec,
    )
    return sharding.save_set(
        shards,
        stores.open_store(folder),
        rank=own,
        executor=executor,
        threads=threads,
        engine=engine,
        progress=progress,
        force=force,
    )


def finalize(folder: str | os.PathLike[str]) -> Published:
    """Check that all shards of a folder are there, which ranks have written, and write their index.

    A folder, by its path or URL, that is published already gives the same index.

    Raises:
        InitcfgError: shards are missing, or no rank has begun (code ``unfinished``).
        FormatError: a file in the place of a shard is not of the set.
        OutputError: the folder cannot be read or written.

    Example:
        >>> import tempfile
        >>> spec = {"initcfg": 1, "params": {"w": {"shape": [64, 8], "initializer": "random_normal"}}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for rank in range(2):
        ...         _ = save_sharded(spec, folder, rank=rank, world_size=2)
        ...     finalize(folder).shards
        1
    """
    return sharding.finalize(stores.open_store(folder))


def verify(
    path: str | os.PathLike[str],
    source: PlanLike | None = None,
    *,
    law: bool | float = False,
    select: str | None = None,
    rename: RenamesLike = (),
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Make the weights of a plan again and compare those in files with them, bit for bit, in bounded memory.

    With `law` any program may have made them: fixed values are compared, random ones tested by their laws.

    Args:
        path: a ``.safetensors`` or ``.npz`` file; a sharded set, by its folder or its index; or, where torch
            is, a file of ``torch.save`` (``.pt``, ``.pth``, ``.bin``, ``.ckpt``), of which no code is run.
        source: a `Plan` or what `make_plan` takes; None takes the spec that the weights carry, which proves
            that they are whole, and not where they are from.
        law: True, or the probability that true weights are refused, of all tests together; by default 1e-6.
        select, threads, engine, progress: as in `materialize`; the rest of the weights is left alone.
        rename: what takes the place of leading segments of names in the weights: ``{"model": ""}`` takes
            them away, and ``{"h.{i}.q": "layer.{i}.query"}`` keeps a number.

    Returns:
        What was compared and what differs; ``require_equal()`` raises it.

    Raises:
        SpecError: the spec has problems or holds code that is not registered, or a rename fits no name.
        FormatError: a file cannot be read or is malformed, or an index and its shards do not say the same.
        UnknownParameterError, ValueError: `select` matches nothing, `law` is no probability.

    Example:
        >>> import tempfile
        >>> spec = {"initcfg": 1, "params": {"w": {"shape": [64, 8], "initializer": "random_normal"}}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save(spec, f"{folder}/w.npz").path
        ...     [str(found.code) for found in verify(path, spec | {"seed": 1}).diagnostics]
        ['fingerprint', 'values']
    """
    plan = None if source is None else make_plan(source)
    return verification.verify(
        path, plan, law=law, select=select, rename=rename, threads=threads, engine=engine, progress=progress
    )
