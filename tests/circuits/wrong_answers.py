"""Wrong answers to the exercises of lesson 14: mistakes that people make. Every checker must reject
every one.
"""

import itertools
from contextlib import ExitStack

import torch
import torch.nn.functional as F
from answers import WrongAnswers

from course_utils.circuits import hooks, search

wrong = WrongAnswers()


# --- record ---------------------------------------------------------------------------------------


def hooked(model, ids, names, make, run=None):
    """Hooks on, one run, hooks off."""
    found = {}
    with ExitStack() as hooks, torch.no_grad():
        for name in names:
            hooks.enter_context(model.get_submodule(name).register_forward_hook(make(found, name)))
        (run or model)(ids)
    return found


def keeper(change):
    """A hook that keeps change(args, output)."""

    def make(found, name):
        def keep(module, args, output):
            found[name] = change(args, output)

        return keep

    return make


@wrong("record", says="only the last name is there. Keep what each module gives under its own name")
def record_late_name(model, ids, names):
    """All hooks see the loop's last name."""
    found = {}
    with ExitStack() as hooks, torch.no_grad():
        for name in names:

            def keep(module, args, output):
                found[name] = output.clone()  # noqa: B023

            hooks.enter_context(model.get_submodule(name).register_forward_hook(keep))
        model(ids)
    return found


@wrong(
    "record",
    says="all names hold the same tensor. Keep what each module gives under its own name",
)
def record_late_value(model, ids, names):
    """Collects outputs in a list that all hooks share: the last one wins."""
    seen = []
    with ExitStack() as hooks, torch.no_grad():
        for name in names:
            hooks.enter_context(
                model.get_submodule(name).register_forward_hook(
                    lambda m, a, out: seen.append(out.clone())
                )
            )
        model(ids)
    return {name: seen[-1] for name in names}


@wrong("record", says=". Modules run in the order of the model, not in the order of `names`")
def record_by_order(model, ids, names):
    """Takes the outputs in the order of the run for those in the order of the names."""
    seen = []
    with ExitStack() as hooks, torch.no_grad():
        for name in names:
            hooks.enter_context(
                model.get_submodule(name).register_forward_hook(
                    lambda m, a, out: seen.append(out.clone())
                )
            )
        model(ids)
    return dict(zip(sorted(names, reverse=True), seen, strict=False))


@wrong("record", says="leaves the model changed: there are hooks on it")
@torch.no_grad()
def record_hooks_left(model, ids, names):
    """Never removes a hook: right the first time."""
    found = {}
    for name in names:
        model.get_submodule(name).register_forward_hook(
            lambda m, a, out, name=name: found.__setitem__(name, out.clone())
        )
    model(ids)
    return found


@wrong(
    "record",
    says=": hooks are left on the model. Take them off in `finally`, or let a `with` do it.",
)
@torch.no_grad()
def record_not_safe(model, ids, names):
    """Removes the hooks at the end, which an error never reaches."""
    found = {}
    handles = []
    for name in names:
        keep = keeper(lambda args, output: output.clone())(found, name)
        handles.append(model.get_submodule(name).register_forward_hook(keep))
    model(ids)
    for handle in handles:
        handle.remove()
    return found


@wrong(
    "record",
    says=": hooks are left on the model. Take them off in `finally`, or let a `with` do it.",
)
@torch.no_grad()
def record_half_safe(model, ids, names):
    """Guards the run, but not the search for the modules."""
    found = {}
    handles = []
    for name in names:
        keep = keeper(lambda args, output: output.clone())(found, name)
        handles.append(model.get_submodule(name).register_forward_hook(keep))
    try:
        model(ids)
    finally:
        for handle in handles:
            handle.remove()
    return found


@wrong("record", says="leaves the model changed: there are hooks on it")
@torch.no_grad()
def record_last_handle(model, ids, names):
    """One variable for all handles: only the last hook is removed."""
    found = {}
    try:
        for name in names:
            handle = model.get_submodule(name).register_forward_hook(
                keeper(lambda args, output: output.clone())(found, name)
            )
        model(ids)
    finally:
        handle.remove()
    return found


@wrong("record", says="leaves the model changed: there are hooks on it")
@torch.no_grad()
def record_all_cleared(model, ids, names):
    """Throws away everybody's hooks."""
    found = {}
    try:
        for name in names:
            model.get_submodule(name).register_forward_hook(
                keeper(lambda args, output: output.clone())(found, name)
            )
        model(ids)
    finally:
        for module in model.modules():
            module._forward_hooks.clear()
    return found


@wrong("record", says="you recorded what the module gets; record what it gives")
def record_input(model, ids, names):
    """What the module gets."""
    return hooked(model, ids, names, keeper(lambda args, output: args[0].clone()))


@wrong("record", says="should be a tensor, not a tuple")
def record_arguments(model, ids, names):
    """All that the module gets, as a tuple."""
    return hooked(model, ids, names, keeper(lambda args, output: args))


@wrong("record", says="return a dictionary from names to tensors; you returned a list")
def record_list(model, ids, names):
    """The tensors without their names."""
    found = hooked(model, ids, names, keeper(lambda args, output: output.clone()))
    return [found[name] for name in names]


@wrong("record", says="a later module has written over what you kept: clone it")
def record_no_clone(model, ids, names):
    """A reference: right until something works in place."""
    return hooked(model, ids, names, keeper(lambda args, output: output))


@wrong("record", says="a later module has written over what you kept: clone it")
def record_detached(model, ids, names):
    """Detaches, but shares the memory."""
    return hooked(model, ids, names, keeper(lambda args, output: output.detach()))


@wrong("record", says="keep all positions, not the last only")
def record_last_position(model, ids, names):
    """The last position only."""
    return hooked(model, ids, names, keeper(lambda args, output: output[:, -1:].clone()))


@wrong("record", says="keep all sequences of the batch")
def record_first_sequence(model, ids, names):
    """The first sequence only."""
    return hooked(model, ids, names, keeper(lambda args, output: output[0].clone()))


@wrong(
    "record",
    says="hangs on the model's graph of gradients. Record under torch.no_grad(), or detach.",
)
def record_with_graph(model, ids, names):
    """With gradients: memory is never freed."""
    found = {}
    with ExitStack() as hooks:
        for name in names:
            keep = keeper(lambda args, output: output.clone())(found, name)
            hooks.enter_context(model.get_submodule(name).register_forward_hook(keep))
        model(ids)
    return found


@wrong("record", says="times. Put all hooks on, then run it once.")
def record_many_runs(model, ids, names):
    """A run for each name."""
    found = {}
    for name in names:
        found |= hooked(model, ids, [name], keeper(lambda args, output: output.clone()))
    return found


@wrong("record", says="leaves the model changed: it is in another mode")
def record_eval(model, ids, names):
    """Switches the model to evaluation and leaves it there."""
    return hooked(model.eval(), ids, names, keeper(lambda args, output: output.clone()))


@wrong("record", says=": the dictionary should have these names as keys, it has")
def record_everything(model, ids, names):
    """All modules, wanted or not."""
    every = [name for name, _ in model.named_modules() if name and not name.endswith("h")]
    return hooked(model, ids, every, keeper(lambda args, output: output.clone()))


@wrong("record", says="you gave each module the token embeddings; run the whole model once")
def record_no_hooks(model, ids, names):
    """Runs the modules on the tokens' embedding, past the model."""
    with torch.no_grad():
        x = model.wte(ids)
        return {name: x if name == "wte" else model.get_submodule(name)(x) for name in names}


@wrong("record", says=": the error was swallowed. Let it through, and clean up behind it.")
def record_swallows(model, ids, names):
    """Errors disappear."""
    try:
        return hooked(model, ids, names, keeper(lambda args, output: output.clone()))
    except Exception:
        return {}


# --- logit_lens -----------------------------------------------------------------------------------


def decoded(model, streams, norm=None):
    with torch.no_grad():
        return torch.stack([model.lm_head((norm or model.ln_f)(x)) for x in streams])


@wrong(
    "logit_lens",
    says="the last LayerNorm, ln_f, comes before the head: what leaves a block has not been through it",
)
def lens_no_norm(model, ids):
    """Without ln_f: looks plausible on a trained model."""
    return decoded(model, model.streams(ids), lambda x: x)


@wrong("logit_lens", says="ln_f has a gain and a shift; you only normalised")
def lens_plain_norm(model, ids):
    """A LayerNorm without the learned gain and shift."""
    return decoded(model, model.streams(ids), lambda x: F.layer_norm(x, x.shape[-1:]))


@wrong("logit_lens", says="the stream before the first block belongs to it, too")
def lens_no_embedding(model, ids):
    """Forgets the stream before the first block."""
    return decoded(model, model.streams(ids)[1:])


@wrong("logit_lens", says="the stream after the last block is missing")
def lens_no_last(model, ids):
    """Forgets the stream after the last block."""
    return decoded(model, model.streams(ids)[:-1])


@wrong("logit_lens", says="only the last row went through ln_f")
def lens_norm_last_only(model, ids):
    """ln_f where the model has it, and nowhere else."""
    *early, last = model.streams(ids)
    return decoded(model, [*early, model.ln_f(last)], lambda x: x)


@wrong("logit_lens", says="the last row is the model's answer: it needs ln_f, too")
def lens_norm_early_only(model, ids):
    """Takes the last stream for normalised already."""
    *early, last = model.streams(ids)
    return decoded(model, [*map(model.ln_f, early), last], lambda x: x)


@wrong("logit_lens", says="the last row went through ln_f twice")
def lens_norm_twice(model, ids):
    """The last one twice through ln_f: nearly right where the gain is 1."""
    *early, last = model.streams(ids)
    return decoded(model, [*early, model.ln_f(last)])


@wrong("logit_lens", says="return logits, not probabilities")
def lens_probabilities(model, ids):
    """Probabilities: the same winner."""
    return decoded(model, model.streams(ids)).softmax(-1)


@wrong("logit_lens", says="return logits, not their logarithmic probabilities")
def lens_log_probabilities(model, ids):
    """Log-probabilities: the same winner, the same differences."""
    return decoded(model, model.streams(ids)).log_softmax(-1)


@wrong("logit_lens", says="from the first layer to the last; yours is the other way round")
def lens_reversed(model, ids):
    """From the last layer to the first."""
    return decoded(model, model.streams(ids)[::-1])


@wrong("logit_lens", says="keep all positions, not the last only")
def lens_last_position(model, ids):
    """The last position only."""
    return decoded(model, [x[:, -1] for x in model.streams(ids)])


@wrong("logit_lens", says="decode the whole stream; you decoded what each block added")
def lens_writes(model, ids):
    """Decodes what each block added."""
    streams = model.streams(ids)
    return decoded(model, [streams[0], *(b - a for a, b in itertools.pairwise(streams))])


@wrong("logit_lens", says="the head is lm_head; you used the token embedding")
def lens_embedding(model, ids):
    """The token embedding as the head: right while the two are tied."""
    with torch.no_grad():
        return torch.stack([model.ln_f(x) @ model.wte.weight.T for x in model.streams(ids)])


@wrong("logit_lens", says="the layer is the first dimension")
def lens_batch_first(model, ids):
    """The layer as the second dimension."""
    return decoded(model, model.streams(ids)).transpose(0, 1)


@wrong("logit_lens", says="you returned a list of tensors; torch.stack makes one tensor of them")
def lens_list(model, ids):
    """A list of tensors."""
    return [model.lm_head(model.ln_f(x)) for x in model.streams(ids)]


@wrong("logit_lens", says="the norm is the last one, ln_f, for every layer")
def lens_block_norm(model, ids):
    """The norm of the next block instead of the last one."""
    norms = [*(block.ln_1 for block in model.h), model.ln_f]
    return torch.stack(
        [model.lm_head(norm(x)) for norm, x in zip(norms, model.streams(ids), strict=True)]
    )


@wrong("logit_lens", says="each row is the same: decode the stream of each layer")
def lens_answer_only(model, ids):
    """The model's answer in every row."""
    return model(ids).expand(len(model.h) + 1, -1, -1, -1)


# --- patching_map ---------------------------------------------------------------------------------


def grid(model, base, source, metric, names, index, scale=True, shift=0):
    """Runs of `base` with a part of the activation of `source`, position by position."""
    with torch.no_grad():
        cache = hooks.activations(model, source, names)
        T = base.size(1)
        rows = []
        for name in names:
            row = []
            for t in range(T):
                with hooks.patched(
                    model, {name: hooks.only(cache[name].roll(shift, 1), slice(None), index(t))}
                ):
                    row.append(metric(model(base))[0])
            rows.append(torch.stack(row))
        return torch.stack(rows)


def ends(model, clean, corrupt, metric):
    with torch.no_grad():
        return metric(model(clean))[0], metric(model(corrupt))[0]


def each(t):
    return t


@wrong(
    "patching_map",
    says="run the corrupt text and patch in the clean run; yours is the other way round",
)
def map_other_way(model, clean, corrupt, metric, names):
    """Patches the corrupt activation into the clean run, on the same scale: finds the same places,
    on most models.
    """
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, clean, corrupt, metric, names, each) - bad) / (good - bad)


@wrong(
    "patching_map", says="run the corrupt text and patch in the clean run; you broke the clean one"
)
def map_noising(model, clean, corrupt, metric, names):
    """How much it breaks: the other experiment."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, clean, corrupt, metric, names, each) - good) / (bad - good)


@wrong("patching_map", says="the patch comes from the same run that it goes into")
def map_own_activation(model, clean, corrupt, metric, names):
    """Records the run that it patches: nothing changes."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, corrupt, metric, names, each) - bad) / (good - bad)


@wrong("patching_map", says="you ran the clean text, which the patch cannot repair any more")
def map_clean_into_clean(model, clean, corrupt, metric, names):
    """Runs the clean text: repaired everywhere."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, clean, clean, metric, names, each) - bad) / (good - bad)


@wrong("patching_map", says="bring it to a scale: (patched - corrupt) / (clean - corrupt)")
def map_raw(model, clean, corrupt, metric, names):
    """No scale."""
    return grid(model, corrupt, clean, metric, names, each)


@wrong("patching_map", says="divide by clean - corrupt")
def map_difference(model, clean, corrupt, metric, names):
    """Half a scale."""
    return grid(model, corrupt, clean, metric, names, each) - ends(model, clean, corrupt, metric)[1]


@wrong("patching_map", says="subtract the corrupt run's metric first")
def map_ratio(model, clean, corrupt, metric, names):
    """Does not subtract the corrupt run."""
    good, bad = ends(model, clean, corrupt, metric)
    return grid(model, corrupt, clean, metric, names, each) / (good - bad)


@wrong("patching_map", says="divide by the difference with its sign")
def map_sign_lost(model, clean, corrupt, metric, names):
    """Divides by the size of the difference: right where the clean text has the higher metric."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, each) - bad) / abs(good - bad)


@wrong("patching_map", says="1 should mean repaired; yours is 1 where nothing is repaired")
def map_turned(model, clean, corrupt, metric, names):
    """What is still broken."""
    good, bad = ends(model, clean, corrupt, metric)
    return (good - grid(model, corrupt, clean, metric, names, each)) / (good - bad)


@wrong("patching_map", says="patch one position at a time; you patched all")
def map_everywhere(model, clean, corrupt, metric, names):
    """All positions at once."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, lambda t: slice(None)) - bad) / (good - bad)


@wrong("patching_map", says="patch one position at a time; you patched all up to it")
def map_up_to(model, clean, corrupt, metric, names):
    """All positions up to t."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, lambda t: slice(0, t + 1)) - bad) / (
        good - bad
    )


@wrong("patching_map", says="patch one position at a time; you patched all from it on")
def map_from(model, clean, corrupt, metric, names):
    """All positions from t on."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, lambda t: slice(t, None)) - bad) / (
        good - bad
    )


@wrong(
    "patching_map",
    says="the patch must come from the same position; yours comes from the one before",
)
def map_neighbour(model, clean, corrupt, metric, names):
    """Puts in the activation of the position before."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, each, shift=1) - bad) / (good - bad)


@wrong("patching_map", says="the columns are positions from the first; yours start with the last")
def map_from_the_end(model, clean, corrupt, metric, names):
    """Counts positions from the end."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, lambda t: clean.size(1) - 1 - t) - bad) / (
        good - bad
    )


@wrong("patching_map", says="a row for each name, a column for each position; yours is transposed")
def map_transposed(model, clean, corrupt, metric, names):
    """Positions as rows."""
    good, bad = ends(model, clean, corrupt, metric)
    return ((grid(model, corrupt, clean, metric, names, each) - bad) / (good - bad)).T


@wrong("patching_map", says="patches of earlier positions and names stayed on; take each off")
def map_piled_up(model, clean, corrupt, metric, names):
    """Patches stay on while the next are tried."""
    good, bad = ends(model, clean, corrupt, metric)
    cache = hooks.activations(model, clean, names)
    T = clean.size(1)
    rows = []
    with ExitStack() as stack, torch.no_grad():
        for name in names:
            row = []
            for t in range(T):
                stack.enter_context(
                    hooks.patched(model, {name: hooks.only(cache[name], slice(None), t)})
                )
                row.append((metric(model(corrupt))[0] - bad) / (good - bad))
            rows.append(torch.stack(row))
    return torch.stack(rows)


@wrong("patching_map", says="the rows are right, but in another order")
def map_sorted_names(model, clean, corrupt, metric, names):
    """The rows in alphabetical order."""
    good, bad = ends(model, clean, corrupt, metric)
    order = sorted(names) if sorted(names) != list(names) else sorted(names, reverse=True)
    return (grid(model, corrupt, clean, metric, order, each) - bad) / (good - bad)


# --- kept -----------------------------------------------------------------------------------------


@torch.no_grad()
def share(model, clean, corrupt, metric, chosen, ran=None, source=None, scale=True):
    """The share that is kept when the chosen parts of a run give what they give in another."""
    cache = hooks.activations(model, corrupt if source is None else source, search.POINTS)
    bad = metric(model(corrupt))
    good = metric(model(clean))
    with hooks.patched(model, search.swaps(cache, chosen)):
        left = metric(model(clean if ran is None else ran))
    return (left - bad) / (good - bad) if scale else left


def others(model, circuit):
    return [part for part in search.parts(model) if part not in circuit]


@wrong("kept", says="yours is the other way round")
def kept_without(model, clean, corrupt, metric, circuit):
    """Replaces the circuit."""
    return share(model, clean, corrupt, metric, circuit)


@wrong("kept", says="you ran the corrupt ones, which hold nothing of the answer")
def kept_of_corrupt(model, clean, corrupt, metric, circuit):
    """Runs the corrupt texts."""
    return share(model, clean, corrupt, metric, others(model, circuit), ran=corrupt)


@wrong("kept", says="you ran the corrupt ones and put the circuit in")
def kept_put_in(model, clean, corrupt, metric, circuit):
    """The other experiment: what does the circuit repair?"""
    return share(model, clean, corrupt, metric, circuit, ran=corrupt, source=clean)


@wrong("kept", says="yours comes from the clean run, and nothing changes")
def kept_own(model, clean, corrupt, metric, circuit):
    """Records the wrong run."""
    return share(model, clean, corrupt, metric, others(model, circuit), source=clean)


@wrong("kept", says="you set it to 0")
@torch.no_grad()
def kept_zeroed(model, clean, corrupt, metric, circuit):
    """Zero ablation."""
    cache = hooks.activations(model, corrupt, search.POINTS)
    empty = {name: torch.zeros_like(x) for name, x in cache.items()}
    bad = metric(model(corrupt))
    good = metric(model(clean))
    with hooks.patched(model, search.swaps(empty, others(model, circuit))):
        return (metric(model(clean)) - bad) / (good - bad)


@wrong("kept", says="MLPs are parts, too")
def kept_heads_only(model, clean, corrupt, metric, circuit):
    """Leaves the MLPs as they are."""
    heads = [part for part in others(model, circuit) if "head" in part]
    return share(model, clean, corrupt, metric, heads)


@wrong("kept", says="heads are parts, too")
def kept_mlps_only(model, clean, corrupt, metric, circuit):
    """Leaves the heads as they are."""
    mlps = [part for part in others(model, circuit) if "mlp" in part]
    return share(model, clean, corrupt, metric, mlps)


@wrong("kept", says="bring it to a scale: (metric - corrupt) / (clean - corrupt)")
def kept_raw(model, clean, corrupt, metric, circuit):
    """No scale."""
    return share(model, clean, corrupt, metric, others(model, circuit), scale=False)


@wrong("kept", says="divide by clean - corrupt")
def kept_difference(model, clean, corrupt, metric, circuit):
    """Half a scale."""
    raw = share(model, clean, corrupt, metric, others(model, circuit), scale=False)
    return raw - ends_of(model, clean, corrupt, metric)[1]


@wrong("kept", says="subtract the corrupt run's metric first")
def kept_ratio(model, clean, corrupt, metric, circuit):
    """The other half."""
    good, bad = ends_of(model, clean, corrupt, metric)
    raw = share(model, clean, corrupt, metric, others(model, circuit), scale=False)
    return raw / (good - bad)


@wrong("kept", says="yours is 1 where all is lost")
def kept_lost(model, clean, corrupt, metric, circuit):
    """What is lost."""
    return 1 - share(model, clean, corrupt, metric, others(model, circuit))


@wrong("kept", says="give one number for each text, not their mean")
def kept_mean(model, clean, corrupt, metric, circuit):
    """The mean over the texts."""
    return share(model, clean, corrupt, metric, others(model, circuit)).mean()


@wrong("kept", says="hooks")
@torch.no_grad()
def kept_never_taken_off(model, clean, corrupt, metric, circuit):
    """Patches stay on the model."""
    bad = metric(model(corrupt))
    good = metric(model(clean))
    cache = hooks.activations(model, corrupt, search.POINTS)
    inside = hooks.patched(model, search.swaps(cache, others(model, circuit)))
    inside.__enter__()
    STAYING.append(inside)
    return (metric(model(clean)) - bad) / (good - bad)


STAYING = []  # else the patches would go with their context manager


@torch.no_grad()
def ends_of(model, clean, corrupt, metric):
    return metric(model(clean)), metric(model(corrupt))


# --- prune ----------------------------------------------------------------------------------------


def without(left, part):
    return [other for other in left if other != part]


def pruned(every, score, least):
    """Right, for what is wrong in another way."""
    if score(list(every)) < least:
        raise ValueError("too little from the start")
    return search.prune(every, score, least)


def checked(every, score, least):
    if score(list(every)) < least:
        raise ValueError("too little from the start")


@wrong("prune", says="you took out the part that costs most; the one that costs least goes")
def prune_dearest(every, score, least):
    """The minimum of the scores."""
    checked(every, score, least)
    left = list(every)
    while left:
        part = min(left, key=lambda part: score(without(left, part)))
        if score(without(left, part)) < least:
            break
        left.remove(part)
    return left


@wrong("prune", says="one part too many is gone: look at the score before you take it out")
def prune_late(every, score, least):
    """Takes out, then looks."""
    checked(every, score, least)
    left = list(every)
    while left and score(left) >= least:
        left = without(left, max(left, key=lambda part: score(without(left, part))))
    return left


@wrong("prune", says="score the parts anew in each round")
def prune_once_sorted(every, score, least):
    """Scores the parts once."""
    checked(every, score, least)
    left = list(every)
    costs = {part: score(without(every, part)) for part in every}
    for part in sorted(every, key=costs.get, reverse=True):
        if score(without(left, part)) < least:
            return left
        left = without(left, part)
    return left


@wrong("prune", says="in each round the cheapest of all goes")
def prune_in_order(every, score, least):
    """One pass."""
    checked(every, score, least)
    left = list(every)
    for part in every:
        if score(without(left, part)) >= least:
            left = without(left, part)
    return left


@wrong("prune", says="take parts out of the whole instead")
def prune_alone(every, score, least):
    """The best ones alone."""
    checked(every, score, least)
    order = sorted(every, key=lambda part: score([part]), reverse=True)
    n = next(n for n in range(len(order) + 1) if score(order[:n]) >= least)
    return [part for part in every if part in order[:n]]


@wrong("prune", says="a score of just `least` is enough")
def prune_strict(every, score, least):
    """More than the least."""
    checked(every, score, least)
    left = list(every)
    while left:
        part = max(left, key=lambda part: score(without(left, part)))
        if score(without(left, part)) <= least:
            break
        left.remove(part)
    return left


@wrong("prune", says="those are the parts that you took out; return what is left")
def prune_gone(every, score, least):
    """What went."""
    left = pruned(every, score, least)
    return [part for part in every if part not in left]


@wrong("prune", says="keep the order of `every`")
def prune_backwards(every, score, least):
    """The last first."""
    return pruned(every, score, least)[::-1]


@wrong("prune", says="nothing was taken out")
def prune_nothing(every, score, least):
    """All of them."""
    checked(every, score, least)
    return list(every)


@wrong("prune", says="only one part was taken out; go on as long as the score allows it")
def prune_one(every, score, least):
    """One round."""
    checked(every, score, least)
    return without(every, max(every, key=lambda part: score(without(every, part))))


@wrong("prune", says="chang")
def prune_in_place(every, score, least):
    """Works on the list that it was given."""
    left = pruned(every, score, least)
    every[:] = left
    return every


@wrong("prune", says="ValueError")
def prune_never_refuses(every, score, least):
    """Returns all where even all are too little."""
    return search.prune(every, score, min(least, score(list(every))))
