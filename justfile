# Tasks of a developer. `pip install rust-just`, then `just` lists them.

python := ".venv/bin/python"

_default:
    @just --list

# An environment with everything that tests, lint and docs need
setup:
    python3 -m venv .venv
    .venv/bin/pip install -q --upgrade "pip>=25.1"
    .venv/bin/pip install -q -e . --group dev

# The tests that .ci/run begins with; `just test tests/unit/plan -k rules` for some
test *args:
    {{ python }} -m pytest -n auto {{ args }}

# What a change breaks most often, in under a minute: corpus, golden bits, public names, floors, specs and initializers
quick:
    {{ python }} -m pytest -q -n auto tests/contract/test_cases.py tests/golden tests/unit/initializers tests/unit/spec \
        tests/meta/test_architecture.py tests/meta/test_codes.py tests/meta/test_public_names.py tests/meta/test_reference.py

# Every property with four times as many random examples, as in CI; `just thorough tests/unit/text`
thorough *args:
    INITCFG_EXAMPLES=100 {{ python }} -m pytest -n auto {{ args }}

# The tests under every Python that is found, and with the oldest requirements; `just matrix --only oldest`
matrix *args:
    python3 .ci/matrix.py {{ args }}

# Lint, format and types
lint:
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/mypy

# Rewrite what lint can rewrite, and everything that is generated
fix: generate
    .venv/bin/ruff check --fix .
    .venv/bin/ruff format .

# Build the documentation's site into build/site; `just docs serve` shows it while you write
docs command="build --strict":
    .venv/bin/pip install -q --group docs
    .venv/bin/mkdocs {{ command }}

# Write all that follows from the code: schemas/, docs/reference/, public names and messages, fingerprints of new plans
generate:
    {{ python }} docs/generate.py
    {{ python }} tests/golden/test_snapshots.py
    {{ python }} tests/golden/make_fingerprints.py --write

# Speed beside the peers that are installed: `just bench peers`, `processes`, `scale`, `executors`
bench suite="peers":
    {{ python }} tests/bench/{{ suite }}.py

# The tests against real frameworks, each file in a process of its own
interop *files:
    .ci/interop {{ files }}
