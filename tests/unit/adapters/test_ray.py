"""Where Ray is not installed."""

from __future__ import annotations

import importlib
import sys

import pytest

from initcfg.cli import main

MODULE = "initcfg.adapters.ray"


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)


def test_the_adapter_names_the_extra() -> None:
    with pytest.raises(ImportError, match=r"needs ray: pip install 'initcfg\[ray\]'"):
        importlib.import_module(MODULE)


def test_the_command_names_the_extra_and_writes_nothing(tmp_path, capsys) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text('{"initcfg": 1, "params": {"w": {"shape": [2], "initializer": "ones"}}}')
    assert main(["materialize", str(spec), "-o", str(tmp_path / "out"), "--ray"], standalone_mode=False) == 2
    assert "pip install 'initcfg[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
