"""Slot keys are written down once, in `_keys`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import phg2st_sc
from phg2st_sc import _keys

PACKAGE = Path(phg2st_sc.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "_keys.py")
SLOTS = frozenset({"layers", "obs", "obsm", "obsp", "uns", "var", "varm", "varp"})
LOOKUPS = frozenset({"get", "pop", "setdefault"})
CONSTANTS = {value for name, value in vars(_keys).items() if name.isupper() and isinstance(value, str)}
# Words like "spatial" or "mpp" mean other things too: only names that cannot be anything else are looked for everywhere.
FOREIGN = {_keys.SPOT_DIAMETER, _keys.SOURCE_IMAGE, _keys.SPATIALDATA_ATTRS}
DISTINCTIVE = {value for value in CONSTANTS if value.startswith("phg2st_")} | FOREIGN
TEMPLATES = ("X_", "_context_index", "_predicted", "_trust")


def _is_slot(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in SLOTS


def _literal(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _slot_literals(tree: ast.AST) -> Iterator[ast.expr]:
    """Literals used as a key of a slot: `x.obsm["a"]`, `x.uns.get("a")`, `"a" in x.obs`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _is_slot(node.value) and _literal(node.slice):
            yield node.slice
        elif isinstance(node, ast.Call) and _is_lookup(node) and _literal(node.args[0]):
            yield node.args[0]
        elif isinstance(node, ast.Compare) and _is_membership(node) and _literal(node.left):
            yield node.left


def _is_lookup(node: ast.Call) -> bool:
    call = node.func
    return isinstance(call, ast.Attribute) and call.attr in LOOKUPS and _is_slot(call.value) and bool(node.args)


def _is_membership(node: ast.Compare) -> bool:
    return isinstance(node.ops[0], ast.In | ast.NotIn) and _is_slot(node.comparators[0])


def _distinctive_literals(tree: ast.AST) -> Iterator[ast.expr]:
    """Literals equal to a key that has no other meaning, and f-strings that build one."""
    for node in ast.walk(tree):
        is_key = isinstance(node, ast.Constant) and node.value in DISTINCTIVE
        if is_key or (isinstance(node, ast.JoinedStr) and _builds_a_key(node)):
            yield node


def _builds_a_key(node: ast.JoinedStr) -> bool:
    parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
    fields = len(node.values) - len(parts)
    return fields == 1 and len(parts) == 1 and parts[0] in TEMPLATES


def _offences(source: str) -> list[str]:
    tree = ast.parse(source)
    found = {*_slot_literals(tree), *_distinctive_literals(tree)}
    return sorted(f"line {node.lineno}: {ast.unparse(node)}" for node in found)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_literal_keys_outside_the_keys_module(path: Path) -> None:
    assert not _offences(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        'a.obsm["spatial"]',
        'a.uns.get("spatial", {})',
        'slide.table.obs["anything"] = 1',
        '"prompt" in a.obs',
        'a.layers[f"{key}_std"]',
        'key = "spot_diameter_fullres"',
        'key = f"X_{encoder}"',
    ],
)
def test_the_check_finds_literal_keys(source: str) -> None:
    assert _offences(source)


@pytest.mark.parametrize("source", ['"""Reads obsm["spatial"]."""', "a.obsm[_keys.SPATIAL]", 'x = "mpp is unknown"'])
def test_the_check_leaves_the_rest_alone(source: str) -> None:
    assert not _offences(source)


def test_keys_are_unique() -> None:
    names = [name for name, value in vars(_keys).items() if name.isupper() and isinstance(value, str)]
    assert len(names) == len(CONSTANTS)


def test_derived_keys_do_not_collide() -> None:
    derived = [make("phg2st") for make in (_keys.std, _keys.predicted, _keys.used_prompts)]
    names = {name for named in _keys.ASSESSED.values() for name in named}
    derived += [_keys.assessed("phg2st", name) for name in names]
    assert len(set(derived)) == len(derived)
    assert _keys.context_index(_keys.embedding("uni")) == "X_uni_context_index"
