"""URLs that nothing can open: told before anything is done."""

from __future__ import annotations

import sys

import pytest

from initcfg.errors import OutputError
from initcfg.stores import open_store


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "fsspec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(OutputError, match=r"pip install 'initcfg\[remote\]'"):
        open_store("s3://bucket/w")


@pytest.mark.parametrize(
    "url",
    [
        "sftp://me:hidden@host/w",
        "simplecache::ftp://me:hidden@host/w",
        "s3://:hidden@b",
        "filecache::ftp://me:hidden@host/x::memory://y",
        "ftp://me:hid@hidden@host/w",
    ],
)
def test_a_url_with_a_password_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(OutputError, match="a password in a URL") as caught:
        open_store(url)
    assert "hidden" not in str(caught.value)
