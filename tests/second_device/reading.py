"""Reads "cuda" (or "mps") as the second device's name, in the course's modules and in a notebook's
cells.

torch knows the real name as a device that is not there; so the name is changed in the source that
is about to run: the string "cuda", and the modules torch.cuda and torch.backends.cuda. Nothing else
of a source changes.
"""

import ast
import importlib.machinery
import sys
from types import SimpleNamespace

PACKAGE = "course_utils"


class Names(ast.NodeTransformer):
    """`x.to("cuda")`, `device.type == "cuda"`, `torch.cuda.synchronize()` → the same with the
    second device's name.
    """

    def __init__(self, old: str, new: str):
        self.old = old
        self.new = new

    def visit_Constant(self, node):
        if node.value in (self.old, f"{self.old}:0"):
            return ast.copy_location(ast.Constant(node.value.replace(self.old, self.new)), node)
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        of_torch = isinstance(node.value, ast.Name) and node.value.id == "torch"
        of_backends = (
            isinstance(node.value, ast.Attribute)
            and ast.unparse(node.value) == "torch.backends"
            and self.old == "mps"
        )
        if node.attr == self.old and (of_torch or of_backends):
            return ast.copy_location(
                ast.Attribute(ast.Name("torch", ast.Load()), self.new, node.ctx), node
            )
        return node

    def visit_JoinedStr(self, node):
        return node  # an f-string is for readers


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module of the course with the names changed; never from, nor into, the cache of
    bytecode.
    """

    names = None
    patches = {}

    def path_stats(self, path):
        raise OSError("no bytecode")

    def source_to_code(self, data, path, *, _optimize=-1):
        tree = ast.fix_missing_locations(self.names.visit(ast.parse(data, path)))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    def exec_module(self, module):
        super().exec_module(module)
        for name, value in self.patches.get(module.__name__, {}).items():
            setattr(module, name, value)


class Finder:
    """Finds the course's modules where they are, and gives them the loader above."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] != PACKAGE:
            return None
        for finder in sys.meta_path:  # an editable installation has a finder of its own
            spec = (
                None
                if finder is Finder or not hasattr(finder, "find_spec")
                else finder.find_spec(name, path, target)
            )
            if spec is not None:
                if isinstance(spec.loader, importlib.machinery.SourceFileLoader):
                    spec.loader = Loader(spec.loader.name, spec.loader.path)
                return spec
        return None


def install(old: str, new: str, cpu_sizes: bool) -> None:
    """Change the names from here on. Raises RuntimeError where the course has been imported
    already.
    """
    import torch

    if PACKAGE in sys.modules and not isinstance(sys.modules[PACKAGE].__loader__, Loader):
        raise RuntimeError(
            f"{PACKAGE} was imported before the second device: its modules have read the real names"
        )
    Loader.names = Names(old, new)
    if cpu_sizes:
        runtime = {"profile": lambda: "cpu", "device": lambda: torch.device(new)}
        Loader.patches = {f"{PACKAGE}.classroom.runtime": runtime}
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)
    _accelerate_sees(torch.device(new))
    shell = SimpleNamespace(ast_transformers=[])
    if "IPython" in sys.modules:
        from IPython import get_ipython

        shell = get_ipython() or shell
    shell.ast_transformers[:] = [
        *(t for t in shell.ast_transformers if not isinstance(t, Names)),
        Loader.names,
    ]


def _accelerate_sees(device) -> None:
    """`Accelerator()` takes any cuda or mps that it finds: so it finds this one, unless told to use
    the CPU.
    """
    import torch
    from accelerate.state import PartialState

    PartialState.default_device = property(
        lambda self: torch.device("cpu") if getattr(self, "_cpu", False) else device
    )
