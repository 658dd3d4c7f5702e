"""Record or replace what happens inside of a model, by hooks: the tool that lesson 14 reads models
with.

Shapes: B sequences, T positions, H heads, d features a head, d_model features, V tokens. A hook is
a function that a module calls whenever it runs. What can be recorded or replaced has a name, with *
for any number or part:

    "h.1", "h.1.mlp", "ln_f"   what a module gives; "h.1" is the residual stream after block 1
    "h.1.in"                   what a module gets; "h.0.in" is the stream before the first block
    "h.1.attn.heads"           each head's output, before W_O: (B, H, T, d)
    "h.1.attn.pattern"         each head's attention (B, H, T, T): the row looks, the column is looked at
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from course_utils.attention.heads import MultiHeadAttention, merge_heads, split_heads

# what stands in an activation's place, or a function of the activation
Patch = Tensor | Callable[[Tensor], Tensor]


def record(model: nn.Module, ids: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """Run the model once, and return what its modules of these names gave: copies, no gradients.

    No hook stays on the model afterwards, even where it fails.
    Shapes: ids (B, T) -> for each name whatever its module gives, such as (B, T, d_model).
    Raises: AttributeError for a name that the model does not have.

    >>> from course_utils.pretrained import storyteller
    >>> found = record(storyteller(), torch.tensor([[3, 1, 4]]), ["h.0.mlp.c_fc", "ln_f"])
    >>> {name: tuple(x.shape) for name, x in found.items()}
    {'h.0.mlp.c_fc': (1, 3, 512), 'ln_f': (1, 3, 128)}
    """
    found = {}
    hooks = ExitStack()
    with hooks:  # takes every hook off at the end, whatever happens
        for name in names:
            # `name=name` holds on to this round's name; without it every hook would see the loop's
            # last one.
            def keep(module, args, output, name=name):
                found[name] = output.clone()  # a copy: later modules may write into the same memory

            hooks.enter_context(model.get_submodule(name).register_forward_hook(keep))
        with torch.no_grad():
            model(ids)
    return found


# --- Hooks on anything ----------------------------------------------------------------------------


def points(model: nn.Module) -> list[str]:
    """The names of all that can be recorded or replaced in a model.

    >>> from course_utils.pretrained import storyteller
    >>> [name for name in points(storyteller()) if name.startswith("h.3.attn")][:4]
    ['h.3.attn', 'h.3.attn.in', 'h.3.attn.pattern', 'h.3.attn.heads']
    """
    found = []
    for name, module in model.named_modules():
        if name and not isinstance(module, nn.ModuleList):
            found += [name, f"{name}.in"] + [
                f"{name}.{what}" for what in ("pattern", "heads") if _n_head(module)
            ]
    return found


def _n_head(module: nn.Module) -> int | None:
    """How many heads an attention layer has that ends with c_proj, ours or one of transformers;
    else None.
    """
    if not hasattr(module, "c_proj"):
        return None
    return getattr(module, "n_head", getattr(module, "num_heads", None))


def _select(model: nn.Module, names: Iterable[str]) -> list[str]:
    """The points that these names stand for, in the model's order within each name."""
    there = points(model)
    chosen = []
    for name in [names] if isinstance(names, str) else names:
        wanted = re.compile(re.escape(name).replace(r"\*", "[^.]+"))
        if not (found := [point for point in there if wanted.fullmatch(point)]):
            near = difflib.get_close_matches(name, there, n=1, cutoff=0.0)
            kinds = dict.fromkeys(re.sub(r"\.\d+(?=\.|$)", ".*", point) for point in there)
            raise ValueError(
                f"the model has no {name!r}; the closest is {near[0]!r}. There are (* is a number): "
                + ", ".join(kinds)
            )
        chosen += found
    return chosen


# What may look at an activation; what it returns, if not None, takes the activation's place.
Visit = Callable[[Tensor], Tensor | None]


def _attach(model: nn.Module, name: str, visit: Visit) -> RemovableHandle:
    """Let `visit` see the activation of this name at every run, until the handle takes it off."""
    # A hook on a module sees what goes in and what comes out. Heads and patterns are neither, but
    # heads are what goes into c_proj, still side by side, and a pattern can be computed again from
    # what goes into the layer.
    base, _, kind = name.rpartition(".")
    if kind not in ("in", "pattern", "heads"):
        return model.get_submodule(name).register_forward_hook(_output_hook(visit))
    module = model.get_submodule(base)
    if kind == "in":
        return module.register_forward_pre_hook(_input_hook(visit), with_kwargs=True)
    if kind == "heads":
        return module.c_proj.register_forward_pre_hook(_heads_hook(visit, _n_head(module)))
    ours = isinstance(module, MultiHeadAttention)
    hook = _our_pattern_hook(visit, base) if ours else _their_pattern_hook(visit, base)
    return module.register_forward_hook(hook, with_kwargs=True)


def _input_hook(visit: Visit) -> Callable:
    """What a module gets: its first argument, by position or by name."""

    def hook(module, args, kwargs):
        if args:
            new = visit(args[0])
            return None if new is None else ((new, *args[1:]), kwargs)
        key = next(iter(kwargs))
        new = visit(kwargs[key])
        return None if new is None else (args, kwargs | {key: new})

    return hook


def _output_hook(visit: Visit) -> Callable:
    """What a module gives. Layers of transformers give a tuple: the activation, then weights or a
    cache.
    """

    def hook(module, args, output):
        if not isinstance(output, tuple):
            return visit(output)
        new = visit(output[0])
        return None if new is None else (new, *output[1:])

    return hook


def _heads_hook(visit: Visit, n_head: int) -> Callable:
    """What the heads give: what c_proj gets, a head at a time."""

    def hook(module, args):
        new = visit(split_heads(args[0], n_head))  # (B, H, T, d)
        return None if new is None else (merge_heads(new), *args[1:])

    return hook


def _our_pattern_hook(visit: Visit, base: str) -> Callable:
    """The attention weights of our layer, which hands them out only when it is asked to: it runs
    twice.
    """

    def hook(module, args, kwargs, output):
        later = [kwargs.get(key) for key in ("x", "kv_cache", "mask")[len(args) :]]
        x, cache, mask = (*args, *later)[:3]
        if cache is not None:
            raise ValueError(
                f"{base}.pattern is known without a cache only: run the model on the whole text"
            )
        # this is a second look: the heads' hooks have seen the first
        with _unwatched(module.c_proj):
            weights = module.forward(x, mask=mask, return_weights=True)[1]  # (B, H, T, T)
            new = visit(weights)
        if new is None:
            return None
        # The pattern was replaced, so what follows from it in this layer is done again: mix the
        # values, then W_O.
        values = split_heads(module.c_attn(x).chunk(3, dim=-1)[2], module.n_head)  # (B, H, T, d)
        return module.c_proj(merge_heads(new @ values))

    return hook


def _their_pattern_hook(visit: Visit, base: str) -> Callable:
    """The attention weights of a layer of transformers, where it gives them."""

    def hook(module, args, kwargs, output):
        if not isinstance(output, tuple) or output[1] is None:
            raise ValueError(
                f"{base} did not give its pattern: "
                'call model.set_attn_implementation("eager") first'
            )
        if visit(output[1]) is not None:
            raise ValueError(f"{base}.pattern can be recorded but not replaced: patch {base}.heads")

    return hook


@contextmanager
def _unwatched(module: nn.Module) -> Iterator[None]:
    """Inside of `with`, what this module gets is neither recorded nor replaced."""
    # torch has no public switch for hooks: put an empty table in the place of the module's, for a
    # while.
    hooks = module._forward_pre_hooks
    module._forward_pre_hooks = {}
    try:
        yield
    finally:
        module._forward_pre_hooks = hooks


class ActivationCache(dict):
    """Record activations while the model runs inside of `with`: a dictionary from their names to
    tensors.

    Names as at the top of this module, "h.*.attn.pattern" for all layers. They are copies without
    gradients, of the last run. Works for any module; patterns and heads for our models and for
    GPT-2 of transformers.
    Raises: ValueError for a name that the model does not have, KeyError for one that was not
    recorded.

    >>> from course_utils.pretrained import storyteller
    >>> model = storyteller()
    >>> with ActivationCache(model, ["h.*.attn.pattern", "h.0.in"]) as cache:
    ...     logits = model(torch.tensor([[3, 1, 4]]))
    >>> list(cache)[-2:], tuple(cache["h.0.attn.pattern"].shape)
    (['h.3.attn.pattern', 'h.0.in'], (1, 4, 3, 3))
    """

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        super().__init__()
        self.model = model
        self.names = _select(model, names)
        self.hooks = ExitStack()

    def __enter__(self) -> "ActivationCache":
        for name in self.names:

            def keep(x: Tensor, name: str = name) -> None:
                self[name] = x.detach().clone()

            self.hooks.enter_context(_attach(self.model, name, keep))
        return self

    def __exit__(self, *error) -> None:
        # Hooks fire in the order in which the model runs; hand the activations back in the order of
        # the names.
        self.hooks.close()
        found = dict(self)
        self.clear()
        self.update((name, found[name]) for name in self.names if name in found)

    def __missing__(self, name: str):
        raise KeyError(
            f"{name!r} was not recorded; recorded are {', '.join(self) or 'none, as nothing ran'}"
        )


@torch.no_grad()
def activations(model: nn.Module, ids: Tensor, names: Iterable[str]) -> ActivationCache:
    """Run a model once, and return the cache.

    >>> from course_utils.pretrained import storyteller
    >>> activations(storyteller(), torch.tensor([[3, 1, 4]]), ["h.2.attn.heads"])[
    ...     "h.2.attn.heads"
    ... ].shape
    torch.Size([1, 4, 3, 32])
    """
    with ActivationCache(model, names) as cache:
        model(ids)
    return cache


@contextmanager
def patched(model: nn.Module, patches: Mapping[str, Patch]) -> Iterator[nn.Module]:
    """Replace activations while the model runs inside of `with`: by a tensor, or by a function of
    the activation.

    A pattern that is both replaced and recorded is recorded as it was before.
    Raises: ValueError for a name that the model does not have, and for a patch of another shape
    than the activation; TypeError for one that is no tensor.

    >>> from course_utils.pretrained import storyteller
    >>> model, ids = storyteller(), torch.tensor([[3, 1, 4]])
    >>> with patched(model, {"h.*.mlp": torch.zeros_like}):  # a model without MLPs
    ...     logits = model(ids)
    >>> torch.equal(logits, model(ids))
    False
    """
    with ExitStack() as hooks:
        for given, patch in patches.items():
            for name in _select(model, [given]):

                def visit(x: Tensor, name: str = name, patch: Patch = patch) -> Tensor:
                    new = patch(x) if callable(patch) else patch
                    if not isinstance(new, Tensor):
                        raise TypeError(
                            f"the patch of {name} is {type(new).__name__}: pass a tensor, or a function of the "
                            "activation that returns one"
                        )
                    if new.shape != x.shape:
                        raise ValueError(
                            f"a patch of {tuple(new.shape)} does not fit {name}, which is "
                            f"{tuple(x.shape)}: record it on a text of this length, or patch a part, `only`"
                        )
                    return new.to(x)

                hooks.enter_context(_attach(model, name, visit))
        yield model


def only(source: Tensor, *index) -> Callable[[Tensor], Tensor]:
    """A patch that takes x[index] from the source, which has the shape of x, and leaves the rest of
    x as it is.

    >>> only(torch.zeros(1, 3), slice(None), 1)(torch.ones(1, 3))
    tensor([[1., 0., 1.]])
    """

    def patch(x: Tensor) -> Tensor:
        if x.shape != source.shape:
            raise ValueError(
                f"{tuple(source.shape)} does not fit {tuple(x.shape)}: record both on texts of one length"
            )
        # Changed in place, the activation would be changed for everybody who holds it, such as the
        # residual stream.
        x = x.clone()
        x[index] = source[index].to(x)
        return x

    return patch
