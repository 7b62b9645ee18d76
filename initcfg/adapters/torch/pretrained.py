"""Models of Hugging Face configs, made without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os


def model_of(folder: str | os.PathLike[str]) -> Any:
    """The model of the class that a folder's ``config.json`` names, as its constructor makes it.

    Args:
        folder: a local folder; nothing else in it is read, no code of it is run, and no network is asked.

    Raises:
        ImportError: transformers is not installed.
        ValueError: transformers knows no model of that config.
    """
    import transformers  # noqa: PLC0415  few need it

    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    named = getattr(transformers, next(iter(config.architectures or ()), ""), None)
    if named is not None:
        return named(config)
    return transformers.AutoModel.from_config(config, trust_remote_code=False)
