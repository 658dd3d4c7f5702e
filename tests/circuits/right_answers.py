"""Right answers of another style to the exercises on circuits."""

from contextlib import ExitStack, contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from answers import Answers
from torch.nn.modules.module import register_module_forward_hook

from course_utils.circuits import search
from course_utils.circuits.hooks import ActivationCache, activations, only, patched, record

right = Answers()


# --- record ---------------------------------------------------------------------------------------


@right("record")
def with_a_list_of_handles(model, ids, names):
    found = {}

    def keeper(name):
        def keep(module, args, output):
            found[name] = output.detach().clone()

        return keep

    handles = []
    try:
        for name in names:
            handles.append(model.get_submodule(name).register_forward_hook(keeper(name)))
        model(ids)
    finally:
        for handle in handles:
            handle.remove()
    return found


@right("record")
@torch.no_grad()
def with_one_hook_for_all_modules(model, ids, names):
    """A global hook, which looks whether the module is one of those."""
    wanted = {name: model.get_submodule(name) for name in names}
    found = {}

    def keep(module, args, output):
        for name, one in wanted.items():
            if one is module:
                found[name] = output.clone()

    handle = register_module_forward_hook(keep)
    try:
        model(ids)
    finally:
        handle.remove()
    return found


def _store(found, name, module, args, output):
    found[name] = torch.clone(output).detach()


@right("record")
def with_partial_and_nested_handles(model, ids, names):
    found = {}

    def run(left):
        if not left:
            with torch.no_grad():
                model(ids)
            return
        module = model.get_submodule(left[0])
        with module.register_forward_hook(partial(_store, found, left[0])):
            run(left[1:])

    run(list(names))
    return found


@contextmanager
def _noted(module, notes):
    """In its place stands a forward that notes what it gives."""
    forward = module.forward

    def noting(*args, **kwargs):
        output = forward(*args, **kwargs)
        notes.append(output.clone())
        return output

    module.forward = noting
    try:
        yield
    finally:
        del module.forward


@right("record")
@torch.no_grad()
def with_another_forward(model, ids, names):
    names = list(names)
    modules = dict(model.named_modules())
    if missing := [name for name in names if name not in modules]:
        raise AttributeError(f"the model has no {missing}")
    notes = {name: [] for name in names}

    def run(left):
        if left:
            with _noted(modules[left[0]], notes[left[0]]):
                run(left[1:])
        else:
            model(ids)

    run(names)
    return {name: outputs[-1] for name, outputs in notes.items()}


# --- logit_lens -----------------------------------------------------------------------------------


@right("logit_lens")
@torch.no_grad()
def all_streams_at_once(model, ids):
    return model.lm_head(model.ln_f(torch.stack(model.streams(ids), dim=0)))


@right("logit_lens")
@torch.no_grad()
def block_by_block(model, ids):
    x = model.wte(ids) + model.wpe(torch.arange(ids.shape[1]))
    rows = [model.lm_head(model.ln_f(x))]
    for block in model.h:
        x = block(x)
        rows.append(model.lm_head(model.ln_f(x)))
    return torch.stack(rows)


@right("logit_lens")
def with_recorded_streams(model, ids):
    blocks = [f"h.{layer}" for layer in range(len(model.h))]
    with torch.no_grad():
        first = activations(model, ids, ["h.0.in"])["h.0.in"]
        streams = [first, *record(model, ids, blocks).values()]
        return torch.cat([model.lm_head(model.ln_f(x))[None] for x in streams])


@right("logit_lens")
def with_functions(model, ids):
    norm = model.ln_f
    streams = torch.stack([x.detach() for x in model.streams(ids)])
    normed = F.layer_norm(streams, streams.shape[-1:], norm.weight, norm.bias, norm.eps)
    return torch.einsum("lbtd,vd->lbtv", normed, model.lm_head.weight).detach()


@right("logit_lens")
@torch.no_grad()
def filled_in(model, ids):
    logits = model(ids)
    lens = logits.new_empty(len(model.h) + 1, *logits.shape)
    lens[-1] = logits
    for row, stream in enumerate(model.streams(ids)[:-1]):
        centred = stream - stream.mean(-1, keepdim=True)
        size = (centred.square().mean(-1, keepdim=True) + model.ln_f.eps).rsqrt()
        lens[row] = model.lm_head(centred * size * model.ln_f.weight + model.ln_f.bias)
    return lens


# --- patching_map ---------------------------------------------------------------------------------


@right("patching_map")
@torch.no_grad()
def one_patch_at_a_time(model, clean, corrupt, metric, names):
    with ActivationCache(model, names) as cache:
        good = metric(model(clean)).item()
    bad = metric(model(corrupt)).item()
    table = torch.empty(len(names), clean.shape[1])
    for i, name in enumerate(names):
        for t in range(clean.shape[1]):
            with patched(model, {name: only(cache[name], slice(None), t)}):
                table[i, t] = (metric(model(corrupt)).item() - bad) / (good - bad)
    return table


@right("patching_map")
def with_mixed_activations(model, clean, corrupt, metric, names):
    """Before the patch both runs are known, so the mixed activation can be laid out ahead."""
    T = clean.shape[-1]
    ours = activations(model, clean, names)
    theirs = activations(model, corrupt, names)
    diagonal = torch.eye(T, dtype=torch.bool)[:, :, None]
    rows = []
    with torch.no_grad():
        bad, good = metric(model(torch.cat([corrupt, clean])))
        for name in names:
            mixed = torch.where(diagonal, ours[name], theirs[name])
            with patched(model, {name: mixed}):
                rows.append(metric(model(corrupt.repeat(T, 1))))
    return (torch.stack(rows) - bad) / (good - bad)


@right("patching_map")
@torch.no_grad()
def with_a_function_of_the_activation(model, clean, corrupt, metric, names):
    T = clean.size(1)
    cache = activations(model, clean, names)

    def repaired(name, t):
        def patch(x):
            return torch.cat([x[:, :t], cache[name][:, t : t + 1], x[:, t + 1 :]], dim=1)

        with patched(model, {name: patch}):
            return metric(model(corrupt))

    raw = torch.stack([torch.cat([repaired(name, t) for t in range(T)]) for name in names])
    low = metric(model(corrupt))
    return (raw - low) / (metric(model(clean)) - low)


@right("patching_map")
@torch.no_grad()
def with_hooks_of_its_own(model, clean, corrupt, metric, names):
    T = clean.shape[1]
    cache = activations(model, clean, names)
    good = metric(model(clean))
    bad = metric(model(corrupt))
    every = torch.arange(T)

    def changed(x, name):
        x = x.clone()
        x[every, every] = cache[name][0]
        return x

    rows = []
    for name in names:
        if name.endswith(".in"):
            handle = model.get_submodule(name.removesuffix(".in")).register_forward_pre_hook(
                lambda module, args, name=name: (changed(args[0], name), *args[1:])
            )
        else:
            handle = model.get_submodule(name).register_forward_hook(
                lambda module, args, output, name=name: changed(output, name)
            )
        with handle:
            rows.append((metric(model(corrupt.expand(T, T))) - bad) / (good - bad))
    return torch.stack(rows)


# --- kept -----------------------------------------------------------------------------------------


@right("kept")
@torch.no_grad()
def kept_text_by_text(model, clean, corrupt, metric, circuit):
    """Each part has a patch of its own, one inside the other."""
    cache = activations(model, corrupt, search.POINTS)
    with ExitStack() as stack:
        for part in search.parts(model):
            if part not in set(circuit):
                stack.enter_context(patched(model, search.swaps(cache, [part])))
        middle = metric(model(clean))
    ends = [metric(model(ids)) for ids in (corrupt, clean)]
    return (middle - ends[0]) / (ends[1] - ends[0])


@right("kept")
def kept_by_functions(model, clean, corrupt, metric, circuit):
    """Mixes the heads of both runs by a mask."""
    with torch.no_grad():
        high = metric(model(clean))
        low = metric(model(corrupt))
        cache = activations(model, corrupt, search.POINTS)

        def mixed(name):
            layer = name.split(".")[1]
            if name.endswith("mlp"):
                return lambda x: x if f"mlp {layer}" in circuit else cache[name]
            stays = torch.tensor(
                [f"head {layer}.{head}" in circuit for head in range(cache[name].size(1))]
            )
            return lambda x: torch.where(stays[:, None, None], x, cache[name])

        with patched(model, {name: mixed(name) for name in cache}):
            left = metric(model(clean))
    return 1 - (high - left) / (high - low)


@right("kept")
@torch.no_grad()
def kept_with_a_set(model, clean, corrupt, metric, circuit):
    bad = metric(model(corrupt))
    good = metric(model(clean))
    others = sorted(set(search.parts(model)).difference(circuit))
    replaced = search.swaps(activations(model, corrupt, ["h.*.mlp", "h.*.attn.heads"]), others)
    with patched(model, replaced) as changed:
        return (metric(changed(clean)) - bad).div(good - bad)


# --- prune ----------------------------------------------------------------------------------------


@right("prune")
def prune_by_recursion(every, score, least):
    if score(list(every)) < least:
        raise ValueError("too little from the start")
    fewer = [[p for p in every if p != part] for part in every]
    if not fewer:
        return []
    best = max(fewer, key=score)
    return prune_by_recursion(best, score, least) if score(best) >= least else list(every)


@right("prune")
def prune_with_pops(every, score, least):
    left = list(every)
    now = score(left)
    if now < least:
        raise ValueError("too little from the start")
    while left:
        rows = []
        for i in range(len(left)):
            fewer = left.copy()
            fewer.pop(i)
            rows.append((score(fewer), -i, fewer))
        now, _, fewer = max(rows)
        if now < least:
            return left
        left = fewer
    return left


@right("prune")
def prune_what_is_gone(every, score, least):
    """Collects what goes."""
    gone = set()

    def rest(more=()):
        return [part for part in every if part not in gone and part not in more]

    if score(rest()) < least:
        raise ValueError("too little from the start")
    for _ in range(len(every)):
        cost, first = min((-score(rest((part,))), i) for i, part in enumerate(rest()))
        if -cost < least:
            break
        gone.add(rest()[first])
    return rest()
