"""Wrong answers to the exercises of notebook 08: mistakes that people make. Every checker must reject every one."""

import itertools
import math
from contextlib import ExitStack

import torch
import torch.nn.functional as F

from course_utils.circuits import reading as ip
from course_utils.probes import linear as pb

# --- record ----------------------------------------------------------------------------------------------------------


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


def record_late_value(model, ids, names):
    """Collects outputs in a list that all hooks share: the last one wins."""
    seen = []
    with ExitStack() as hooks, torch.no_grad():
        for name in names:
            hooks.enter_context(
                model.get_submodule(name).register_forward_hook(lambda m, a, out: seen.append(out.clone()))
            )
        model(ids)
    return {name: seen[-1] for name in names}


def record_by_order(model, ids, names):
    """Takes the outputs in the order of the run for those in the order of the names."""
    seen = []
    with ExitStack() as hooks, torch.no_grad():
        for name in names:
            hooks.enter_context(
                model.get_submodule(name).register_forward_hook(lambda m, a, out: seen.append(out.clone()))
            )
        model(ids)
    return dict(zip(sorted(names, reverse=True), seen, strict=False))


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


@torch.no_grad()
def record_not_safe(model, ids, names):
    """Removes the hooks at the end, which an error never reaches."""
    found, handles = {}, []
    for name in names:
        keep = keeper(lambda args, output: output.clone())(found, name)
        handles.append(model.get_submodule(name).register_forward_hook(keep))
    model(ids)
    for handle in handles:
        handle.remove()
    return found


@torch.no_grad()
def record_half_safe(model, ids, names):
    """Guards the run, but not the search for the modules."""
    found, handles = {}, []
    for name in names:
        keep = keeper(lambda args, output: output.clone())(found, name)
        handles.append(model.get_submodule(name).register_forward_hook(keep))
    try:
        model(ids)
    finally:
        for handle in handles:
            handle.remove()
    return found


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


@torch.no_grad()
def record_all_cleared(model, ids, names):
    """Throws away everybody's hooks."""
    found = {}
    try:
        for name in names:
            model.get_submodule(name).register_forward_hook(keeper(lambda args, output: output.clone())(found, name))
        model(ids)
    finally:
        for module in model.modules():
            module._forward_hooks.clear()
    return found


def record_input(model, ids, names):
    """What the module gets."""
    return hooked(model, ids, names, keeper(lambda args, output: args[0].clone()))


def record_no_clone(model, ids, names):
    """A reference: right until something works in place."""
    return hooked(model, ids, names, keeper(lambda args, output: output))


def record_detached(model, ids, names):
    """Detaches, but shares the memory."""
    return hooked(model, ids, names, keeper(lambda args, output: output.detach()))


def record_last_position(model, ids, names):
    """The last position only."""
    return hooked(model, ids, names, keeper(lambda args, output: output[:, -1:].clone()))


def record_first_sequence(model, ids, names):
    """The first sequence only."""
    return hooked(model, ids, names, keeper(lambda args, output: output[0].clone()))


def record_with_graph(model, ids, names):
    """With gradients: memory is never freed."""
    found = {}
    with ExitStack() as hooks:
        for name in names:
            keep = keeper(lambda args, output: output.clone())(found, name)
            hooks.enter_context(model.get_submodule(name).register_forward_hook(keep))
        model(ids)
    return found


def record_many_runs(model, ids, names):
    """A run for each name."""
    found = {}
    for name in names:
        found |= hooked(model, ids, [name], keeper(lambda args, output: output.clone()))
    return found


def record_eval(model, ids, names):
    """Switches the model to evaluation and leaves it there."""
    return hooked(model.eval(), ids, names, keeper(lambda args, output: output.clone()))


def record_everything(model, ids, names):
    """All modules, wanted or not."""
    every = [name for name, _ in model.named_modules() if name and not name.endswith("h")]
    return hooked(model, ids, every, keeper(lambda args, output: output.clone()))


def record_no_hooks(model, ids, names):
    """Runs the modules on the tokens' embedding, past the model."""
    with torch.no_grad():
        x = model.wte(ids)
        return {name: x if name == "wte" else model.get_submodule(name)(x) for name in names}


def record_swallows(model, ids, names):
    """Errors disappear."""
    try:
        return hooked(model, ids, names, keeper(lambda args, output: output.clone()))
    except Exception:
        return {}


# --- logit_lens ------------------------------------------------------------------------------------------------------


def decoded(model, streams, norm=None):
    with torch.no_grad():
        return torch.stack([model.lm_head((norm or model.ln_f)(x)) for x in streams])


def lens_no_norm(model, ids):
    """Without ln_f: looks plausible on a trained model."""
    return decoded(model, model.streams(ids), lambda x: x)


def lens_plain_norm(model, ids):
    """A LayerNorm without the learned gain and shift."""
    return decoded(model, model.streams(ids), lambda x: F.layer_norm(x, x.shape[-1:]))


def lens_no_embedding(model, ids):
    """Forgets the stream before the first block."""
    return decoded(model, model.streams(ids)[1:])


def lens_no_last(model, ids):
    """Forgets the stream after the last block."""
    return decoded(model, model.streams(ids)[:-1])


def lens_norm_last_only(model, ids):
    """ln_f where the model has it, and nowhere else."""
    *early, last = model.streams(ids)
    return decoded(model, [*early, model.ln_f(last)], lambda x: x)


def lens_norm_early_only(model, ids):
    """Takes the last stream for normalised already."""
    *early, last = model.streams(ids)
    return decoded(model, [*map(model.ln_f, early), last], lambda x: x)


def lens_norm_twice(model, ids):
    """The last one twice through ln_f: nearly right where the gain is 1."""
    *early, last = model.streams(ids)
    return decoded(model, [*early, model.ln_f(last)])


def lens_probabilities(model, ids):
    """Probabilities: the same winner."""
    return decoded(model, model.streams(ids)).softmax(-1)


def lens_log_probabilities(model, ids):
    """Log-probabilities: the same winner, the same differences."""
    return decoded(model, model.streams(ids)).log_softmax(-1)


def lens_reversed(model, ids):
    """From the last layer to the first."""
    return decoded(model, model.streams(ids)[::-1])


def lens_last_position(model, ids):
    """The last position only."""
    return decoded(model, [x[:, -1] for x in model.streams(ids)])


def lens_writes(model, ids):
    """Decodes what each block added."""
    streams = model.streams(ids)
    return decoded(model, [streams[0], *(b - a for a, b in itertools.pairwise(streams))])


def lens_embedding(model, ids):
    """The token embedding as the head: right while the two are tied."""
    with torch.no_grad():
        return torch.stack([model.ln_f(x) @ model.wte.weight.T for x in model.streams(ids)])


def lens_batch_first(model, ids):
    """The layer as the second dimension."""
    return decoded(model, model.streams(ids)).transpose(0, 1)


def lens_list(model, ids):
    """A list of tensors."""
    return [model.lm_head(model.ln_f(x)) for x in model.streams(ids)]


def lens_block_norm(model, ids):
    """The norm of the next block instead of the last one."""
    norms = [*(block.ln_1 for block in model.h), model.ln_f]
    return torch.stack([model.lm_head(norm(x)) for norm, x in zip(norms, model.streams(ids), strict=True)])


def lens_answer_only(model, ids):
    """The model's answer in every row."""
    return model(ids).expand(len(model.h) + 1, -1, -1, -1)


# --- induction_score -------------------------------------------------------------------------------------------------


def copies_of(ids):
    copies = (ids[:, :, None] == ids[:, None, :]).tril(-1)
    if not copies.any():
        raise ValueError("no token comes twice")
    return copies


def score(pattern, marks, rows):
    return torch.einsum("b...ts,bts->...", pattern, marks.to(pattern)) / rows


def induction_duplicate(pattern, ids):
    """Scores the copy itself."""
    copies = copies_of(ids)
    return score(pattern, copies, copies.any(-1).sum())


def induction_before(pattern, ids):
    """What came before the copy: off by two."""
    copies = copies_of(ids)
    return score(pattern, copies.roll(-1, -1), copies.any(-1).sum())


def induction_transposed(pattern, ids):
    """Rows for columns."""
    copies = copies_of(ids)
    return score(pattern.mT, copies.roll(1, -1), copies.any(-1).sum())


def induction_moved_rows(pattern, ids):
    """Moves the marks one row down instead of one column on."""
    copies = copies_of(ids)
    return score(pattern, copies.roll(1, -2), copies.any(-1).sum())


def induction_all_rows(pattern, ids):
    """Divides by all positions: the right order of heads, the wrong size."""
    return score(pattern, copies_of(ids).roll(1, -1), ids.numel())


def induction_sum(pattern, ids):
    """Divides by nothing."""
    return score(pattern, copies_of(ids).roll(1, -1), 1)


def induction_pairs(pattern, ids):
    """Averages over copies: right where each token has one copy."""
    copies = copies_of(ids)
    return score(pattern, copies.roll(1, -1), copies.sum())


def induction_most_recent(pattern, ids):
    """The most recent copy only: right on text that is repeated once."""
    copies = copies_of(ids)
    latest = copies & (copies.flip(-1).cumsum(-1).flip(-1) == 1)
    return score(pattern, latest.roll(1, -1), copies.any(-1).sum())


def induction_first(pattern, ids):
    """The first copy only."""
    copies = copies_of(ids)
    return score(pattern, (copies & (copies.cumsum(-1) == 1)).roll(1, -1), copies.any(-1).sum())


def induction_self(pattern, ids):
    """Takes the token for a copy of itself."""
    same = (ids[:, :, None] == ids[:, None, :]).tril()
    if not same.tril(-1).any():
        raise ValueError("no token comes twice")
    return score(pattern, same.roll(1, -1), same.any(-1).sum())


def induction_by_text(pattern, ids):
    """Averages text by text: right where all have as many copies."""
    return torch.stack([induction_right(p[None], i[None]) for p, i in zip(pattern, ids, strict=True)]).mean(0)


def induction_right(pattern, ids):
    copies = copies_of(ids)
    return score(pattern, copies.roll(1, -1), copies.any(-1).sum())


def induction_one_number(pattern, ids):
    """One number for all heads."""
    return induction_right(pattern, ids).mean()


def induction_no_error(pattern, ids):
    """0/0 instead of an error."""
    copies = (ids[:, :, None] == ids[:, None, :]).tril(-1)
    return score(pattern, copies.roll(1, -1), copies.any(-1).sum().clamp(min=1))


def induction_fixed_period(pattern, ids):
    """The stripe of a fixed period: right on a text that repeats with it, says nothing on others."""
    copies_of(ids)
    period = next((p for p in range(1, ids.size(1)) if (ids[:, p:] == ids[:, :-p]).any()), 1)
    stripe = pattern.diagonal(1 - period, dim1=-2, dim2=-1)
    return stripe.mean(-1).mean(0)


def induction_previous(pattern, ids):
    """The previous-token score."""
    copies_of(ids)
    return pattern.diagonal(-1, dim1=-2, dim2=-1).mean(-1).mean(0)


def induction_first_text(pattern, ids):
    """The first text's copies for the whole batch."""
    return induction_right(pattern, ids[:1].expand_as(ids))


# --- patching_map ----------------------------------------------------------------------------------------------------


def grid(model, base, source, metric, names, index, scale=True, shift=0):
    """Runs of `base` with a part of the activation of `source`, position by position."""
    with torch.no_grad():
        cache, T = ip.activations(model, source, names), base.size(1)
        rows = []
        for name in names:
            row = []
            for t in range(T):
                with ip.patched(model, {name: ip.only(cache[name].roll(shift, 1), slice(None), index(t))}):
                    row.append(metric(model(base))[0])
            rows.append(torch.stack(row))
        return torch.stack(rows)


def ends(model, clean, corrupt, metric):
    with torch.no_grad():
        return metric(model(clean))[0], metric(model(corrupt))[0]


def each(t):
    return t


def map_other_way(model, clean, corrupt, metric, names):
    """Patches the corrupt activation into the clean run, on the same scale: finds the same places, on most models."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, clean, corrupt, metric, names, each) - bad) / (good - bad)


def map_noising(model, clean, corrupt, metric, names):
    """How much it breaks: the other experiment."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, clean, corrupt, metric, names, each) - good) / (bad - good)


def map_own_activation(model, clean, corrupt, metric, names):
    """Records the run that it patches: nothing changes."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, corrupt, metric, names, each) - bad) / (good - bad)


def map_clean_into_clean(model, clean, corrupt, metric, names):
    """Runs the clean text: repaired everywhere."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, clean, clean, metric, names, each) - bad) / (good - bad)


def map_raw(model, clean, corrupt, metric, names):
    """No scale."""
    return grid(model, corrupt, clean, metric, names, each)


def map_difference(model, clean, corrupt, metric, names):
    """Half a scale."""
    return grid(model, corrupt, clean, metric, names, each) - ends(model, clean, corrupt, metric)[1]


def map_ratio(model, clean, corrupt, metric, names):
    """Does not subtract the corrupt run."""
    good, bad = ends(model, clean, corrupt, metric)
    return grid(model, corrupt, clean, metric, names, each) / (good - bad)


def map_turned(model, clean, corrupt, metric, names):
    """What is still broken."""
    good, bad = ends(model, clean, corrupt, metric)
    return (good - grid(model, corrupt, clean, metric, names, each)) / (good - bad)


def map_everywhere(model, clean, corrupt, metric, names):
    """All positions at once."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, lambda t: slice(None)) - bad) / (good - bad)


def map_up_to(model, clean, corrupt, metric, names):
    """All positions up to t."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, lambda t: slice(0, t + 1)) - bad) / (good - bad)


def map_from(model, clean, corrupt, metric, names):
    """All positions from t on."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, lambda t: slice(t, None)) - bad) / (good - bad)


def map_neighbour(model, clean, corrupt, metric, names):
    """Puts in the activation of the position before."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, each, shift=1) - bad) / (good - bad)


def map_from_the_end(model, clean, corrupt, metric, names):
    """Counts positions from the end."""
    good, bad = ends(model, clean, corrupt, metric)
    return (grid(model, corrupt, clean, metric, names, lambda t: clean.size(1) - 1 - t) - bad) / (good - bad)


def map_transposed(model, clean, corrupt, metric, names):
    """Positions as rows."""
    good, bad = ends(model, clean, corrupt, metric)
    return ((grid(model, corrupt, clean, metric, names, each) - bad) / (good - bad)).T


def map_piled_up(model, clean, corrupt, metric, names):
    """Patches stay on while the next are tried."""
    good, bad = ends(model, clean, corrupt, metric)
    cache, T, rows = ip.activations(model, clean, names), clean.size(1), []
    with ExitStack() as stack, torch.no_grad():
        for name in names:
            row = []
            for t in range(T):
                stack.enter_context(ip.patched(model, {name: ip.only(cache[name], slice(None), t)}))
                row.append((metric(model(corrupt))[0] - bad) / (good - bad))
            rows.append(torch.stack(row))
    return torch.stack(rows)


def map_sorted_names(model, clean, corrupt, metric, names):
    """The rows in alphabetical order."""
    good, bad = ends(model, clean, corrupt, metric)
    order = sorted(names) if sorted(names) != list(names) else sorted(names, reverse=True)
    return (grid(model, corrupt, clean, metric, order, each) - bad) / (good - bad)


# --- control_labels --------------------------------------------------------------------------------------------------


def types_of(ids):
    types, which = ids.unique(return_inverse=True)
    return len(types), which


def control_each_token(ids, y, generator):
    """A label for each token: nothing to learn, so any probe looks good beside it."""
    return y[torch.randint(len(y), ids.shape, generator=generator)]


def control_shuffled(ids, y, generator):
    """Shuffles y: the same word has many labels."""
    return y[torch.randperm(len(y), generator=generator)]


def control_uniform(ids, y, generator):
    """All classes alike: an easier or harder task than the real one."""
    n, which = types_of(ids)
    return torch.randint(int(y.max()) + 1, (n,), generator=generator)[which]


def control_uniform_values(ids, y, generator):
    """Draws from the different values of y."""
    n, which = types_of(ids)
    values = y.unique()
    return values[torch.randint(len(values), (n,), generator=generator)][which]


def control_modulo(ids, y, generator):
    """Nothing random at all."""
    torch.rand(1, generator=generator)
    return ids % (int(y.max()) + 1)


def control_majority(ids, y, generator):
    """Each type's most frequent true label: not random, but the answer."""
    n, which = types_of(ids)
    torch.rand(1, generator=generator)
    table = torch.zeros(n, int(y.max()) + 1).index_put((which, y), torch.ones(len(y)), accumulate=True)
    return table.argmax(-1)[which]


def control_first_seen(ids, y, generator):
    """The true label of a token of the type: it leaks y."""
    n, which = types_of(ids)
    order = torch.randperm(len(y), generator=generator)
    return torch.zeros(n, dtype=y.dtype).scatter(0, which[order], y[order])[which]


def control_global(ids, y, generator):
    """torch's global dice."""
    n, which = types_of(ids)
    return y[torch.randint(len(y), (n,))][which]


def control_seeded(ids, y, generator):
    """Seeds inside."""
    n, which = types_of(ids)
    return y[torch.randint(len(y), (n,), generator=generator.manual_seed(0))][which]


def control_types_only(ids, y, generator):
    """A label for each type, not for each token."""
    n, _ = types_of(ids)
    return y[torch.randint(len(y), (n,), generator=generator)]


def control_sorted(ids, y, generator):
    """Cuts the types into blocks: neighbours get the same label."""
    n, which = types_of(ids)
    return y[torch.randint(len(y), (n,), generator=generator)].sort().values[which]


def control_most_frequent_shuffled(ids, y, generator):
    """Takes each type's most frequent label, and shuffles these: rare classes get rarer."""
    types, which = ids.unique(return_inverse=True)
    most = torch.stack([torch.bincount(y[which == k], minlength=3).argmax() for k in range(len(types))])
    return most[torch.randperm(len(types), generator=generator)][which]


def control_one_label(ids, y, generator):
    """One label for all: every probe solves it."""
    return y[torch.randint(len(y), (1,), generator=generator)].expand_as(y).clone()


def control_float(ids, y, generator):
    """Labels as floats, which no probe takes."""
    n, which = types_of(ids)
    return y[torch.randint(len(y), (n,), generator=generator)][which].float()


def control_relabelled(ids, y, generator):
    """Renames the classes of y: the same task under other names."""
    names = torch.randperm(int(y.max()) + 1, generator=generator)
    return names[y]


def control_by_position(ids, y, generator):
    """The label belongs to the place, not to the word."""
    block = y[torch.randint(len(y), (len(y) // 10 + 1,), generator=generator)]
    return block.repeat_interleave(10)[: len(y)]


# --- selectivity -----------------------------------------------------------------------------------------------------


def reach(x, labels, fit, judge, truth=None):
    return pb.fit_probe(x[fit], labels[fit]).accuracy(x[judge], (labels if truth is None else truth)[judge])


def selectivity_on_train(x, y, control, train):
    """Judges where it was fitted."""
    return reach(x, y, train, train) - reach(x, control, train, train)


def selectivity_fit_on_all(x, y, control, train):
    """The probe has seen the test."""
    every = torch.ones_like(train)
    return reach(x, y, every, ~train) - reach(x, control, every, ~train)


def selectivity_swapped(x, y, control, train):
    """Fits on the test, judges on the training examples."""
    return reach(x, y, ~train, train) - reach(x, control, ~train, train)


def selectivity_test_only(x, y, control, train):
    """Both on the test."""
    return reach(x, y, ~train, ~train) - reach(x, control, ~train, ~train)


def selectivity_judged_on_all(x, y, control, train):
    """The training examples count, too."""
    every = torch.ones_like(train)
    return reach(x, y, train, every) - reach(x, control, train, every)


def selectivity_minus(x, y, control, train):
    """The other sign."""
    return reach(x, control, train, ~train) - reach(x, y, train, ~train)


def selectivity_accuracy(x, y, control, train):
    """Accuracy without a control."""
    return reach(x, y, train, ~train)


def selectivity_one_probe(x, y, control, train):
    """The task's probe for both."""
    return reach(x, y, train, ~train) - reach(x, y, train, ~train, truth=control)


def selectivity_size(x, y, control, train):
    """Loses the sign."""
    return abs(reach(x, y, train, ~train) - reach(x, control, train, ~train))


def selectivity_ratio(x, y, control, train):
    """A ratio."""
    return reach(x, y, train, ~train) / reach(x, control, train, ~train)


def selectivity_control_on_train(x, y, control, train):
    """Only the control is judged where it was fitted."""
    return reach(x, y, train, ~train) - reach(x, control, train, train)


def selectivity_task_on_train(x, y, control, train):
    """Only the task is judged where it was fitted."""
    return reach(x, y, train, train) - reach(x, control, train, ~train)


def selectivity_guess(x, y, control, train):
    """Above a guess, instead of above the control."""
    return reach(x, y, train, ~train) - 1 / (int(y.max()) + 1)


def selectivity_pair(x, y, control, train):
    """Two numbers."""
    return reach(x, y, train, ~train), reach(x, control, train, ~train)


# --- erase_directions ------------------------------------------------------------------------------------------------


def unit(directions):
    return F.normalize(directions, dim=-1)


def erase_all_at_once(x, directions, mean):
    """Takes each one's part away: right for orthogonal directions."""
    u = unit(directions)
    return x - ((x - mean) @ u.T) @ u


def erase_one_by_one(x, directions, mean):
    """One after the other: the last is gone, the first is back."""
    for u in unit(directions):
        x = x - ((x - mean) @ u)[..., None] * u
    return x


def erase_not_normalised(x, directions, mean):
    """Forgets the lengths."""
    return x - ((x - mean) @ directions.T) @ directions


def erase_rows(x, directions, mean):
    """QR of the rows: another space."""
    basis = torch.linalg.qr(directions).R.T
    return x - ((x - mean) @ basis) @ basis.T


def erase_no_mean(x, directions, mean):
    """To 0 instead of to the mean."""
    basis = torch.linalg.qr(directions.T).Q
    return x - (x @ basis) @ basis.T


def erase_mean_lost(x, directions, mean):
    """Centres, and does not put the mean back."""
    basis = torch.linalg.qr(directions.T).Q
    return (x - mean) - ((x - mean) @ basis) @ basis.T


def erase_kept(x, directions, mean):
    """Keeps what should go."""
    basis = torch.linalg.qr(directions.T).Q
    return mean + ((x - mean) @ basis) @ basis.T


def erase_reflected(x, directions, mean):
    """Twice too far: a mirror."""
    basis = torch.linalg.qr(directions.T).Q
    return x - 2 * ((x - mean) @ basis) @ basis.T


def erase_added(x, directions, mean):
    """The wrong sign."""
    basis = torch.linalg.qr(directions.T).Q
    return x + ((x - mean) @ basis) @ basis.T


def erase_first(x, directions, mean):
    """One direction only."""
    u = unit(directions[:1])
    return x - ((x - mean) @ u.T) @ u


def erase_sum(x, directions, mean):
    """The sum of the directions as the one direction."""
    u = unit(directions.sum(0, keepdim=True))
    return x - ((x - mean) @ u.T) @ u


def erase_own_mean(x, directions, mean):
    """The mean of what it is given, instead of the mean that it was told."""
    basis = torch.linalg.qr(directions.T).Q
    return x - ((x - x.flatten(0, -2).mean(0)) @ basis) @ basis.T


def erase_nothing(x, directions, mean):
    """Does nothing."""
    return x.clone()


# --- repeated_sequences ----------------------------------------------------------------------------------------------


def blocks_of(n, T, V, periods, generator, high=None):
    low, top = periods
    if not 1 <= low <= top <= V:
        raise ValueError(periods)
    period = torch.randint(low, (top if high is None else high) + 1, (n,), generator=generator)
    return period, torch.rand(n, V, generator=generator).argsort(-1)


def repeats_high_excluded(n, T, vocab_size, periods, generator):
    """randint's upper end is not included."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator, max(periods[0], periods[1] - 1))
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


def repeats_one_period(n, T, vocab_size, periods, generator):
    """One period for the whole batch: it changes from batch to batch, so training looks fine."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    period = period[:1].expand(n).clone()
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


def repeats_one_block(n, T, vocab_size, periods, generator):
    """One block for the whole batch."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return blocks[:1].expand(n, -1).gather(1, torch.arange(T) % period[:, None]), period


def repeats_same_tokens(n, T, vocab_size, periods, generator):
    """Tokens with replacement: some blocks hold one twice, and what comes next is then not certain."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    blocks = torch.randint(vocab_size, blocks.shape, generator=generator)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


def repeats_few_tokens(n, T, vocab_size, periods, generator):
    """randperm(period): the block's tokens are 0 to period - 1, so the period can be read off them."""
    period, _ = blocks_of(n, T, vocab_size, periods, generator)
    rows = []
    for p in period.tolist():
        block = torch.randperm(p, generator=generator)
        rows.append(block[torch.arange(T) % p])
    return torch.stack(rows), period


def repeats_longest_tokens(n, T, vocab_size, periods, generator):
    """An order of the longest period's tokens, not of the whole vocabulary."""
    period, _ = blocks_of(n, T, vocab_size, periods, generator)
    blocks = torch.rand(n, max(periods[1], T), generator=generator)[:, : periods[1]].argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


def repeats_off_by_one(n, T, vocab_size, periods, generator):
    """The period is one less than what is told."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return blocks.gather(1, torch.arange(T) % (period[:, None] - 1).clamp(min=1)), period


def repeats_each_token(n, T, vocab_size, periods, generator):
    """a a b b, as repeat_interleave does, instead of a b a b."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return blocks.gather(1, (torch.arange(T) * period[:, None]) // T), period


def repeats_mirrored(n, T, vocab_size, periods, generator):
    """Every second block backwards."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    t, p = torch.arange(T), period[:, None]
    place = torch.where(t // p % 2 == 0, t % p, p - 1 - t % p)
    return blocks.gather(1, place), period


def repeats_twice_only(n, T, vocab_size, periods, generator):
    """A third block would be new: right for texts that are short."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    other = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    t, p = torch.arange(T), period[:, None]
    return torch.where(t < 2 * p, blocks.gather(1, t % p), other.gather(1, t % p)), period


def repeats_global(n, T, vocab_size, periods, generator):
    """torch's global dice for the blocks."""
    period, _ = blocks_of(n, T, vocab_size, periods, generator)
    return torch.rand(n, vocab_size).argsort(-1).gather(1, torch.arange(T) % period[:, None]), period


def repeats_seeded(n, T, vocab_size, periods, generator):
    """Every batch is the first one."""
    generator.manual_seed(0)
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


def repeats_unchecked(n, T, vocab_size, periods, generator):
    """periods that do not fit go through."""
    period = torch.randint(min(periods), max(periods) + 1, (n,), generator=generator).clamp(min=1, max=vocab_size)
    blocks = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


def repeats_rounded(n, T, vocab_size, periods, generator):
    """round() of a uniform number: the two ends come half as often."""
    _, blocks = blocks_of(n, T, vocab_size, periods, generator)
    low, high = periods
    period = (low + (high - low) * torch.rand(n, generator=generator)).round().long()
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


def repeats_sorted(n, T, vocab_size, periods, generator):
    """Blocks in rising order: the next token can be guessed without looking back."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    rows = [torch.cat([row[:p].sort().values, row[p:]]) for row, p in zip(blocks, period.tolist(), strict=True)]
    return torch.stack(rows).gather(1, torch.arange(T) % period[:, None]), period


def repeats_in_turn(n, T, vocab_size, periods, generator):
    """Deals out the periods one after the other instead of drawing them."""
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError("periods")
    period = low + torch.arange(n) % (high - low + 1)
    blocks = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


def repeats_counting(n, T, vocab_size, periods, generator):
    """A block counts up from a random token: its tokens are different, but each tells the next."""
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError("periods")
    period = torch.randint(low, high + 1, (n,), generator=generator)
    start = torch.randint(vocab_size, (n, 1), generator=generator)
    return (start + torch.arange(T) % period[:, None]) % vocab_size, period


def repeats_one_order(n, T, vocab_size, periods, generator):
    """One random order for all texts, entered at a random place."""
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError("periods")
    period = torch.randint(low, high + 1, (n,), generator=generator)
    order = torch.randperm(vocab_size, generator=generator)
    start = torch.randint(vocab_size, (n, 1), generator=generator)
    return order[(start + torch.arange(T) % period[:, None]) % vocab_size], period


def repeats_no_period(n, T, vocab_size, periods, generator):
    """The ids alone."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return blocks.gather(1, torch.arange(T) % period[:, None])


def repeats_no_zero(n, T, vocab_size, periods, generator):
    """Tokens from 1: token 0 never comes where there is room for the others."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    last = vocab_size - 1
    if periods[1] <= last:
        blocks = 1 + torch.rand(n, last, generator=generator).argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


# --- mean_ablate -----------------------------------------------------------------------------------------------------


def there(z, heads):
    if any(not 0 <= h < z.size(1) for h in heads):
        raise ValueError(heads)
    return z.clone(), list(heads)


def mean_zero(z, heads):
    """Zero ablation."""
    out, heads = there(z, heads)
    out[:, heads] = 0
    return out


def mean_over_time(z, heads):
    """The mean over the positions: each sequence still tells itself apart."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads].mean(2, keepdim=True)
    return out


def mean_over_both(z, heads):
    """The mean over sequences and positions: the head forgets where it is, too."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads].mean((0, 2), keepdim=True)
    return out


def mean_over_heads(z, heads):
    """The mean over all heads."""
    out, heads = there(z, heads)
    out[:, heads] = z.mean(1, keepdim=True)
    return out


def mean_pooled(z, heads):
    """One mean for all heads that are taken out: right for a single one."""
    out, heads = there(z, heads)
    if heads:
        out[:, heads] = z[:, heads].mean((0, 1), keepdim=True)
    return out


def mean_over_features(z, heads):
    """The mean over a head's features."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads].mean(3, keepdim=True)
    return out


def mean_one_number(z, heads):
    """One number for each head."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads].mean((0, 2, 3), keepdim=True)
    return out


def mean_in_place(z, heads):
    """Changes what it was given."""
    there(z, heads)
    for h in heads:
        z[:, h] = z[:, h].mean(0)
    return z


def mean_wrong_axis(z, heads):
    """Positions instead of heads: the shape is the same."""
    out, heads = there(z, heads)
    for h in heads:
        if h < z.size(2):
            out[:, :, h] = z[:, :, h].mean(0)
    return out


def mean_transposed(z, heads):
    """Takes z for (B, T, H, d): the head is the third index."""
    out, heads = there(z, heads)
    for h in heads:
        out[:, :, h % z.size(2)] = z[:, :, h % z.size(2)].mean(0)
    return out


def mean_first_head(z, heads):
    """The first head only."""
    out, heads = there(z, heads)
    for h in heads:
        out[:, h] = z[:, h].mean(0)
        return out
    return out


def mean_last_head(z, heads):
    """Starts from z again for each head: only the last is taken out."""
    out, heads = there(z, heads)
    for h in heads:
        out = z.clone()
        out[:, h] = z[:, h].mean(0)
    return out


def mean_others(z, heads):
    """Keeps those heads, takes the others out."""
    out, heads = there(z, heads)
    for h in set(range(z.size(1))) - set(heads):
        out[:, h] = z[:, h].mean(0)
    return out


def mean_all_heads(z, heads):
    """All heads."""
    there(z, heads)
    return z.mean(0, keepdim=True).expand_as(z).clone()


def mean_first_text(z, heads):
    """The first sequence in place of the mean."""
    out, heads = there(z, heads)
    out[:, heads] = z[:1, heads]
    return out


def mean_resampled(z, heads):
    """Another sequence's head in place of the mean."""
    out, heads = there(z, heads)
    out[:, heads] = z.roll(1, 0)[:, heads]
    return out


def mean_of_others(z, heads):
    """The mean of the other sequences: it depends on which one is left out."""
    out, heads = there(z, heads)
    out[:, heads] = (z.sum(0, keepdim=True) - z)[:, heads] / (z.size(0) - 1)
    return out


def mean_median(z, heads):
    """The median."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads].median(0, keepdim=True).values
    return out


def mean_unchecked(z, heads):
    """Python's -1 goes through, and takes the last head."""
    out = z.clone()
    for h in heads:
        if h < z.size(1):
            out[:, h] = z[:, h].mean(0)
    return out


def mean_part(z, heads):
    """Returns only the heads that were taken out."""
    out, heads = there(z, heads)
    return z[:, heads].mean(0, keepdim=True).expand(z.size(0), -1, -1, -1)


def mean_subtracted(z, heads):
    """Takes the mean away instead of keeping it."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads] - z[:, heads].mean(0, keepdim=True)
    return out


# --- restricted_logits -----------------------------------------------------------------------------------------------


def waves_kept(logits, frequencies, places, constant=True, ends=(0, 1), part="real"):
    p = logits.size(0)
    if any(not 1 <= k <= p // 2 for k in frequencies):
        raise ValueError(frequencies)
    keep = torch.zeros(p, p, 1)
    if constant:
        keep[0, 0] = 1
    for k in frequencies:
        for i, j in places(k):
            keep[i % p, j % p] = 1
    return getattr(torch.fft.ifft2(torch.fft.fft2(logits, dim=ends) * keep, dim=ends), part)


def both(k):
    return [(k, k), (-k, -k)]


def restricted_no_constant(logits, frequencies):
    """Without the constant: each logit loses its mean."""
    return waves_kept(logits, frequencies, both, constant=False)


def restricted_half(logits, frequencies):
    """k without -k: half of each wave, and its other half as an imaginary part."""
    return waves_kept(logits, frequencies, lambda k: [(k, k)])


def restricted_difference(logits, frequencies):
    """The waves of a - b."""
    return waves_kept(logits, frequencies, lambda k: [(k, -k), (-k, k)])


def restricted_four(logits, frequencies):
    """The waves of a + b and of a - b: all four corners."""
    return waves_kept(logits, frequencies, lambda k: [(i, j) for i in (k, -k) for j in (k, -k)])


def restricted_all_rows(logits, frequencies):
    """Every wave in which a turns with k, whatever b does."""
    p = logits.size(0)
    return waves_kept(logits, frequencies, lambda k: [(i, j) for i in (k, -k) for j in range(p)])


def restricted_either(logits, frequencies):
    """Waves of a alone and of b alone."""
    return waves_kept(logits, frequencies, lambda k: [(k, 0), (-k, 0), (0, k), (0, -k)])


def restricted_pairs(logits, frequencies):
    """All combinations of the frequencies: right for a single one, but for a - b."""
    return waves_kept(logits, frequencies, lambda k: [x for j in frequencies for x in ((k, j), (-k, -j))])


def restricted_deleted(logits, frequencies):
    """What should go stays."""
    return logits - waves_kept(logits, frequencies, both) + logits.mean((0, 1))


def restricted_deleted_all(logits, frequencies):
    """What should go stays, and the constant goes."""
    return logits - waves_kept(logits, frequencies, both)


def restricted_up_to(logits, frequencies):
    """A low-pass: all frequencies up to the highest."""
    return waves_kept(logits, list(range(1, max(frequencies, default=0) + 1)), both)


def restricted_off_by_one(logits, frequencies):
    """Frequencies count from 0."""
    if any(not 1 <= k <= logits.size(0) // 2 for k in frequencies):
        raise ValueError(frequencies)
    return waves_kept(logits, [k - 1 for k in frequencies if k > 1], both)


def restricted_last_axes(logits, frequencies):
    """fft2's default dimensions, the last two: b and the answer. The same shape only where V = p."""
    if logits.size(1) != logits.size(2):
        return waves_kept(logits, frequencies, both)
    p = logits.size(0)
    moved = waves_kept(logits.permute(1, 2, 0), frequencies, both)
    assert moved.shape == (p, p, p)
    return moved.permute(2, 0, 1)


def restricted_absolute(logits, frequencies):
    """The absolute value of what comes back: right where all is positive."""
    return waves_kept(logits, frequencies, both, part="real").abs()


def restricted_first(logits, frequencies):
    """The first frequency only."""
    kept = waves_kept(logits, frequencies[:1], both)
    return waves_kept(logits, frequencies, both) if len(frequencies) < 2 else kept


def restricted_cosines(logits, frequencies):
    """Without the sines."""
    waves_kept(logits, frequencies, both)
    p = logits.size(0)
    total = (torch.arange(p)[:, None] + torch.arange(p)) % p
    out = logits.mean((0, 1)).expand_as(logits).clone()
    for k in frequencies:
        wave = torch.cos(2 * math.pi * k * total / p)
        out += wave[..., None] * torch.einsum("ab,abv->v", wave, logits) / wave.square().sum()
    return out


def restricted_unnormalised(logits, frequencies):
    """Projects on the waves by hand, and counts the frequency p / 2 twice: right for an odd p."""
    waves_kept(logits, frequencies, both)
    p = logits.size(0)
    total = (torch.arange(p)[:, None] + torch.arange(p)) % p
    out = logits.mean((0, 1)).expand_as(logits).clone()
    for k in frequencies:
        for turn in (torch.cos, torch.sin):
            wave = turn(2 * math.pi * k * total / p)
            out += wave[..., None] * torch.einsum("ab,abv->v", wave, logits) * 2 / p**2
    return out


def restricted_by_sum(logits, frequencies):
    """All waves of a + b: the mean over pairs with the same sum."""
    waves_kept(logits, frequencies, both)
    p = logits.size(0)
    total = (torch.arange(p)[:, None] + torch.arange(p)) % p
    return torch.stack([logits[total == s].mean(0) for s in range(p)])[total]


def restricted_unchecked(logits, frequencies):
    """Frequencies that are none go through."""
    p = logits.size(0)
    keep = torch.zeros(p, p, 1)
    keep[0, 0] = 1
    for k in frequencies:
        keep[k % p, k % p] = keep[-k % p, -k % p] = 1
    return torch.fft.ifft2(torch.fft.fft2(logits, dim=(0, 1)) * keep, dim=(0, 1)).real


def restricted_complex(logits, frequencies):
    """Forgets .real."""
    keep = waves_kept(logits, frequencies, both)
    return keep.to(torch.complex64)


def restricted_answers(logits, frequencies):
    """Waves over the answers instead of the pairs."""
    waves_kept(logits, frequencies, both)
    spectrum, keep = torch.fft.fft(logits, dim=-1), torch.zeros(logits.size(-1))
    keep[0] = 1
    for k in frequencies:
        keep[k % len(keep)] = keep[-k % len(keep)] = 1
    return torch.fft.ifft(spectrum * keep, dim=-1).real


MUTANTS = {
    "record": [
        record_late_name,
        record_late_value,
        record_by_order,
        record_hooks_left,
        record_not_safe,
        record_half_safe,
        record_last_handle,
        record_all_cleared,
        record_input,
        record_no_clone,
        record_detached,
        record_last_position,
        record_first_sequence,
        record_with_graph,
        record_many_runs,
        record_eval,
        record_everything,
        record_no_hooks,
        record_swallows,
    ],
    "logit_lens": [
        lens_no_norm,
        lens_plain_norm,
        lens_no_embedding,
        lens_no_last,
        lens_norm_last_only,
        lens_norm_early_only,
        lens_norm_twice,
        lens_probabilities,
        lens_log_probabilities,
        lens_reversed,
        lens_last_position,
        lens_writes,
        lens_embedding,
        lens_batch_first,
        lens_list,
        lens_block_norm,
        lens_answer_only,
    ],
    "induction_score": [
        induction_duplicate,
        induction_before,
        induction_transposed,
        induction_moved_rows,
        induction_all_rows,
        induction_sum,
        induction_pairs,
        induction_most_recent,
        induction_first,
        induction_self,
        induction_by_text,
        induction_one_number,
        induction_no_error,
        induction_fixed_period,
        induction_previous,
        induction_first_text,
    ],
    "patching_map": [
        map_other_way,
        map_noising,
        map_own_activation,
        map_clean_into_clean,
        map_raw,
        map_difference,
        map_ratio,
        map_turned,
        map_everywhere,
        map_up_to,
        map_from,
        map_neighbour,
        map_from_the_end,
        map_transposed,
        map_piled_up,
        map_sorted_names,
    ],
    "control_labels": [
        control_each_token,
        control_shuffled,
        control_uniform,
        control_uniform_values,
        control_modulo,
        control_majority,
        control_first_seen,
        control_global,
        control_seeded,
        control_types_only,
        control_sorted,
        control_most_frequent_shuffled,
        control_one_label,
        control_float,
        control_relabelled,
        control_by_position,
    ],
    "selectivity": [
        selectivity_on_train,
        selectivity_fit_on_all,
        selectivity_swapped,
        selectivity_test_only,
        selectivity_judged_on_all,
        selectivity_minus,
        selectivity_accuracy,
        selectivity_one_probe,
        selectivity_size,
        selectivity_ratio,
        selectivity_control_on_train,
        selectivity_task_on_train,
        selectivity_guess,
        selectivity_pair,
    ],
    "erase_directions": [
        erase_all_at_once,
        erase_one_by_one,
        erase_not_normalised,
        erase_rows,
        erase_no_mean,
        erase_mean_lost,
        erase_kept,
        erase_reflected,
        erase_added,
        erase_first,
        erase_sum,
        erase_own_mean,
        erase_nothing,
    ],
    "repeated_sequences": [
        repeats_high_excluded,
        repeats_one_period,
        repeats_one_block,
        repeats_same_tokens,
        repeats_few_tokens,
        repeats_longest_tokens,
        repeats_off_by_one,
        repeats_each_token,
        repeats_mirrored,
        repeats_twice_only,
        repeats_global,
        repeats_seeded,
        repeats_unchecked,
        repeats_rounded,
        repeats_sorted,
        repeats_in_turn,
        repeats_counting,
        repeats_one_order,
        repeats_no_period,
        repeats_no_zero,
    ],
    "mean_ablate": [
        mean_zero,
        mean_over_time,
        mean_over_both,
        mean_over_heads,
        mean_pooled,
        mean_over_features,
        mean_one_number,
        mean_in_place,
        mean_wrong_axis,
        mean_transposed,
        mean_first_head,
        mean_last_head,
        mean_others,
        mean_all_heads,
        mean_first_text,
        mean_resampled,
        mean_of_others,
        mean_median,
        mean_unchecked,
        mean_part,
        mean_subtracted,
    ],
    "restricted_logits": [
        restricted_no_constant,
        restricted_half,
        restricted_difference,
        restricted_four,
        restricted_all_rows,
        restricted_either,
        restricted_pairs,
        restricted_deleted,
        restricted_deleted_all,
        restricted_up_to,
        restricted_off_by_one,
        restricted_last_axes,
        restricted_absolute,
        restricted_first,
        restricted_cosines,
        restricted_unnormalised,
        restricted_by_sum,
        restricted_unchecked,
        restricted_complex,
        restricted_answers,
    ],
}
