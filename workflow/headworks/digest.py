"""Digests: of values, of files, and of the code behind a stage.

A stage's code is its module and every project module it imports, however far. Comments, layout, docstrings
and the descriptions of config fields are left out: editing them reruns nothing.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

PACKAGE = "headworks"
ROOT = Path(__file__).parent
LENGTH = 16


def canonical(value) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value) -> str:
    """Short SHA-256 of any JSON-serialisable value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:LENGTH]


def file_digest(path: Path) -> str:
    """Short SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


def code_digest(*modules: str) -> str:
    """Digest of the modules' code and of the project modules they reach through imports."""
    found = set().union(*(reached(module) for module in modules))
    return digest({name: _statements(name) for name in sorted(found)})


def reached(module: str) -> set[str]:
    """The project modules that importing `module` runs, itself included."""
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_imports(name))
    return seen


def source_of(module: str) -> Path | None:
    """The file of a project module; None if there is none of that name."""
    base = ROOT.joinpath(*module.split(".")[1:])
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def _tree(module: str) -> ast.Module:
    return _Bare().visit(ast.parse(source_of(module).read_text(encoding="utf-8")))


def _imports(module: str) -> set[str]:
    found = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(
                    f"{module}: relative imports hide what a stage depends on; write the full name"
                )
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == PACKAGE and source_of(name)}


@cache
def _statements(module: str) -> str:
    return ast.dump(_tree(module))


class _Bare(ast.NodeTransformer):
    """Takes out what cannot change a result: docstrings, descriptions of config fields, imports for type checkers."""

    def visit_If(self, node):
        typing_only = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return ast.Pass() if typing_only else self.generic_visit(node)

    def visit_Expr(self, node):
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if text else self.generic_visit(node)

    def visit_Call(self, node):
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        return self.generic_visit(node)
