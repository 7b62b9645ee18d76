"""What is written about a parameter besides its name and shape, and where each piece of it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initcfg.dtypes import DEFAULT_DTYPE, DTYPES
from initcfg.spec import Param

if TYPE_CHECKING:
    from initcfg.plan.problems import Path
    from initcfg.spec import InitializerConfig, Rule, Spec


class Terms(NamedTuple):
    """An initializer, a dtype and a layout, and where each is written.

    Args:
        shape_path: where the shape is told.
        initializer: how the values begin; None where nothing says so.
        initializer_path: where that stands, or would.
        dtype: the parameter's, else its rule's, the document's, the manifest's, float32.
        dtype_path: where that stands.
        layout: the parameter's, else its rule's, the document's.
        layout_path: where that stands.
        layout_must_fit: whether the layout is meant for this parameter, and not for whatever it suits.
    """

    shape_path: Path
    initializer: InitializerConfig | None
    initializer_path: Path
    dtype: str
    dtype_path: Path
    layout: str | None
    layout_path: Path
    layout_must_fit: bool

    @classmethod
    def of(
        cls, spec: Spec, shape_path: Path, *written: tuple[Param | Rule, Path], dtype: str | None = None
    ) -> Terms:
        """What a parameter, its rule or both, in this order, say together with document and manifest.

        A dtype that the document states is for floating parameters, as that of ``module.to(dtype)`` is, and a
        rule's floating dtype leaves integers and bool of the manifest alone.

        Args:
            spec: the document.
            shape_path: where the shape is told.
            written: the parameter and the rule, each with the place where it stands.
            dtype: the manifest's.
        """
        first = written[0][1]
        begins = [(each.initializer, path) for each, path in written if each.initializer is not None]
        initializer, path = begins[0] if begins else (None, first)
        dtypes = [
            (each.dtype, (*path, "dtype"))
            for each, path in written
            if each.dtype is not None
            and (isinstance(each, Param) or dtype is None or _is_float(dtype) or not _is_float(each.dtype))
        ]
        if spec.dtype is not None and (dtype is None or _is_float(dtype)):
            dtypes.append((spec.dtype, ("dtype",)))
        dtypes.append((dtype, ("manifest",)) if dtype is not None else (DEFAULT_DTYPE, ("dtype",)))
        layouts = [(each.layout, (*path, "layout")) for each, path in written if each.layout is not None]
        found, dtype_path = dtypes[0]
        layout, layout_path = layouts[0] if layouts else (spec.layout, ("layout",))
        return cls(
            shape_path,
            initializer,
            (*path, "initializer"),
            found,
            dtype_path,
            layout,
            layout_path,
            layout_must_fit=bool(layouts),
        )


def _is_float(dtype: str) -> bool:
    return DTYPES[dtype].kind == "float"
