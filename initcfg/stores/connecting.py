"""From a URL to the driver of fsspec that speaks for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, OutputError
from initcfg.stores.driver_errors import reporting_driver

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_USERS = re.compile(r"://([^/@]*(?:@[^/@]*)*)@")
_INSTALL = re.compile(r"[Ii]nstall '?([a-z0-9_-]+)'? (?:to|for) access")


def connect(url: str) -> tuple[AbstractFileSystem, str]:
    """A file system, and the path on it; credentials come from where the driver looks for them.

    Raises:
        OutputError: fsspec or the driver is missing, nobody speaks the protocol, or the URL holds a password.
    """
    _refuse_passwords(url)
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415  an extra
    except ImportError:
        raise _cannot(url, "fsspec is not installed", "pip install 'initcfg[remote]'") from None
    with reporting_driver(url, "open"):
        try:
            fs, path = url_to_fs(url)
        except ImportError as error:
            raise _cannot(url, "its driver is not installed", _driver_hint(url, error)) from error
        except ValueError as error:
            known = "python -c 'import fsspec; print(fsspec.available_protocols())' lists the protocols"
            raise _cannot(url, str(error), known) from error
    return fs, path.rstrip("/")


def _refuse_passwords(url: str) -> None:
    """A URL is shown in messages and kept in receipts and logs; one that is chained has several hosts."""
    if any(":" in user for user in _USERS.findall(url)):
        shown = _USERS.sub("://...@", url)
        hint = "leave it out: fsspec reads it from its configuration, such as FSSPEC_FTP_PASSWORD"
        raise _cannot(shown, "a password in a URL ends up in logs", hint)


def _driver_hint(url: str, error: ImportError) -> str:
    """How to install what is missing: fsspec says "Install s3fs to access S3", in one way or another."""
    found = _INSTALL.search(str(error))
    if found is not None:
        return f"{found[1]} is needed: pip install {found[1]}"
    return f"{url.partition(':')[0]} needs a package of its own: {error}"


def _cannot(url: str, reason: str, hint: str) -> OutputError:
    return OutputError(Diagnostic(Code.OUTPUT, f"cannot open {url!r}: {reason}", hint=hint))
