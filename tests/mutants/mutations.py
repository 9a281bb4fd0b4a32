"""The mutants of a module: its syntax tree with one small change.

Comparisons move their boundary, conditions and operators turn round, numbers grow, minus signs, clamps and calls made
for their effect are dropped, min and max, any and all, and and or change places. Left alone is what no test should have
to notice: annotations, decorators, messages of errors and logs, sources, assertions of our own, zip's ``strict``.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}
TWINS = {"min": "max", "max": "min", "amin": "amax", "amax": "amin", "any": "all", "all": "any"}
LONGEST = 90
"""Characters of the code that a mutant is shown with."""


@dataclass(frozen=True)
class Mutant:
    """A change, told by where it is and by the code around it, so that moving a line does not rename it."""

    key: str
    tree: ast.Module


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a module, in an order that depends on nothing but their keys."""
    original = list(ast.walk(ast.parse(source)))
    parents = _parents(original)
    left_alone = _left_alone(original)
    found, seen = [], Counter[str]()
    for index, node in enumerate(original):
        if id(node) in left_alone:
            continue
        for variant in range(len(_replacements(node, parents))):
            told, tree = _mutated(source, index, variant)
            seen[told] += 1
            found.append(Mutant(told if seen[told] == 1 else f"{told} #{seen[told]}", tree))
    return sorted(found, key=lambda mutant: hashlib.blake2b(mutant.key.encode()).digest())


def _mutated(source: str, index: int, variant: int) -> tuple[str, ast.Module]:
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    parents = _parents(nodes)
    target = nodes[index]
    shown = _shown(target, parents)
    before = ast.unparse(shown)
    replacement = _replacements(target, parents)[variant]
    _Swap(target, replacement).visit(tree)
    after = ast.unparse(replacement if shown is target else shown)
    told = f"{_where(target, parents)}: {_one_line(before)} -> {_one_line(after)}"
    return told, ast.fix_missing_locations(tree)


class _Swap(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST):
        self._target, self._replacement = target, replacement

    def visit(self, node: ast.AST) -> Any:
        return self._replacement if node is self._target else self.generic_visit(node)


def _replacements(node: ast.AST, parents: dict[int, ast.AST]) -> list[ast.AST]:
    """What may stand in a node's place."""
    found = list(_by_kind(node))
    parent = parents.get(id(node))
    if isinstance(parent, (ast.If, ast.IfExp, ast.While)) and parent.test is node and not found:
        found.append(ast.UnaryOp(ast.Not(), copy.deepcopy(node)))  # type: ignore[arg-type]
    if isinstance(parent, ast.comprehension) and node in parent.ifs:
        found.append(ast.Constant(True))
    return found


def _by_kind(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            yield _changed(node, lambda twin, p=place, op=op: twin.ops.__setitem__(p, COMPARISONS[type(op)]()))
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC and not _of_text(node):
        yield _changed(node, lambda twin: setattr(twin, "op", ARITHMETIC[type(twin.op)]()))
    elif isinstance(node, ast.BoolOp):
        yield _changed(node, lambda twin: setattr(twin, "op", ast.Or() if isinstance(twin.op, ast.And) else ast.And()))
    elif isinstance(node, ast.UnaryOp) and not _is_axis(node):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        yield ast.Constant(_other(node.value))
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in TWINS:
        field = "attr" if isinstance(node.func, ast.Attribute) else "id"
        yield _changed(node, lambda twin: setattr(twin.func, field, TWINS[name]))
    if name == "clamp" and isinstance(node.func, ast.Attribute):
        of_torch = isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"
        yield copy.deepcopy(node.args[0] if of_torch else node.func.value)


def _changed(node: ast.AST, change: Any) -> ast.AST:
    twin = copy.deepcopy(node)
    change(twin)
    return twin


def _other(value: bool | float) -> bool | float:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) or value == 0 else value * 2


def _is_axis(node: ast.UnaryOp) -> bool:
    """Whether it is a whole number below 0: it counts from the end, where its positive twin often counts the same."""
    return isinstance(node.op, ast.USub) and isinstance(getattr(node.operand, "value", None), int)


def _of_text(node: ast.BinOp | ast.AugAssign) -> bool:
    sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
    return any(isinstance(side, ast.JoinedStr) or isinstance(getattr(side, "value", None), str) for side in sides)


def _left_alone(nodes: list[ast.AST]) -> set[int]:
    """The ids of the nodes that stay as they are, with all that is inside them."""
    roots: list[ast.AST | None] = []
    for node in nodes:
        roots += [node] if _is_words(node) else []
        roots += getattr(node, "decorator_list", [])
        roots += [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return {id(inner) for root in roots if root is not None for inner in ast.walk(root)}


def _is_words(node: ast.AST) -> bool:
    """Whether a node only says something, or only says what holds anyway."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _called(node.value).startswith("log.")
    if isinstance(node, ast.Call):
        return _called(node) in ("Source", "Registry")
    if isinstance(node, ast.keyword):
        return node.arg == "strict"
    return isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr))


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def _parents(nodes: list[ast.AST]) -> dict[int, ast.AST]:
    return {id(child): node for node in nodes for child in ast.iter_child_nodes(node)}


def _where(node: ast.AST, parents: dict[int, ast.AST]) -> str:
    names = []
    while (parent := parents.get(id(node))) is not None:
        if isinstance(parent, (ast.FunctionDef, ast.ClassDef)):
            names.append(parent.name)
        node = parent
    return ".".join(reversed(names)) or "module"


def _shown(node: ast.AST, parents: dict[int, ast.AST]) -> ast.AST:
    """The largest piece of code around a node that is short enough to be read at a glance."""
    shown = node
    while (parent := parents.get(id(node))) is not None:
        if isinstance(parent, (ast.expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr)):
            if len(ast.unparse(parent)) > LONGEST and not isinstance(shown, (ast.Constant, ast.UnaryOp)):
                break
            shown = parent
        elif isinstance(parent, ast.stmt):
            break
        node = parent
    return shown


def _one_line(code: str) -> str:
    return " ".join(code.split())
