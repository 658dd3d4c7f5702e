"""Right answers to the exercises of lesson 04, in other styles than the reference."""

import math
import re
import statistics
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


@right("convert_weights")
def convert_in_a_comprehension(state):
    masks = (".attn.bias", ".attn.masked_bias")
    turned = tuple(f"{matrix}.weight" for matrix in ("c_attn", "c_proj", "c_fc"))
    short = {name.removeprefix("transformer."): x for name, x in state.items()}
    kept = {name: x for name, x in short.items() if not name.endswith(masks)}
    return {name: x.T if name.endswith(turned) else x for name, x in kept.items()}


@right("convert_weights")
def convert_with_patterns(state):
    weights = {}
    for name, x in state.items():
        if re.search(r"\.attn\.(masked_)?bias$", name):
            continue
        turned = re.search(r"\bc_(attn|proj|fc)\.weight$", name) is not None
        weights[re.sub(r"^transformer\.", "", name)] = x.transpose(0, 1) if turned else x
    return weights


@right("convert_weights")
def convert_by_parts_of_names(state):
    result = {}
    for name in state:
        parts = name.split(".")
        if parts[0] == "transformer":
            parts = parts[1:]
        if len(parts) > 1 and parts[-2] == "attn" and parts[-1] in ("bias", "masked_bias"):
            continue
        x = state[name]
        if parts[-1] == "weight" and parts[-2] in {"c_attn", "c_proj", "c_fc"}:
            x = torch.einsum("io->oi", x)
        result[".".join(parts)] = x
    return result


@right("convert_weights")
def convert_copies_everything(state):
    weights = dict(state)
    for name in list(weights):
        if name.endswith(".attn.bias") or name.endswith(".attn.masked_bias"):
            del weights[name]
    for name in list(weights):
        x = weights.pop(name)
        if any(name.endswith(f"{matrix}.weight") for matrix in ("c_attn", "c_proj", "c_fc")):
            x = x.permute(1, 0)
        weights[name.replace("transformer.", "", 1)] = x.clone().contiguous()
    return weights


@right("convert_weights")
def convert_with_reduce(state):
    def put(weights, item):
        name, x = item
        match name.removeprefix("transformer.").split("."):
            case [*_, "attn", "bias" | "masked_bias"]:
                return weights
            case [*_, "c_attn" | "c_proj" | "c_fc", "weight"] as parts:
                return weights | {".".join(parts): x.mT}
            case parts:
                return weights | {".".join(parts): x}

    return reduce(put, state.items(), {})


@right("convert_weights")
def convert_through_numpy(state):
    weights = {}
    for name, x in sorted(state.items()):
        if name[-10:] == ".attn.bias" or name[-17:] == ".attn.masked_bias":
            continue
        numbers = x.numpy()
        if ".c_" in name and name.endswith(".weight"):
            numbers = np.ascontiguousarray(numbers.T)
        weights[name.split("transformer.")[-1]] = torch.from_numpy(numbers)
    return weights


# --- embed ----------------------------------------------------------------------------------------


@right("embed")
def embed_by_layers(ids, wte, wpe):
    places = torch.arange(ids.size(1), device=ids.device)
    return F.embedding(ids, wte) + F.embedding(places, wpe)


@right("embed")
def embed_in_loops(ids, wte, wpe):
    rows = []
    for text in ids:
        rows.append(torch.stack([wte[i] + wpe[t] for t, i in enumerate(text)]))
    return torch.stack(rows)


@right("embed")
def embed_as_products(ids, wte, wpe):
    """A table lookup is the product with a row of zeros and a one."""
    one_hot = F.one_hot(ids, len(wte)).to(wte.dtype)
    place = torch.eye(ids.size(1), len(wpe), dtype=wpe.dtype)
    return one_hot @ wte + place @ wpe


# --- forward --------------------------------------------------------------------------------------


@right("forward")
def forward_with_reduce(ids, wte, wpe, blocks, ln_f):
    x = reduce(lambda x, block: block(x), blocks, wte[ids] + wpe[: ids.shape[1]])
    return F.linear(ln_f(x), wte)


@right("forward")
def forward_with_einsum(ids, wte, wpe, blocks, ln_f):
    x = embed_by_layers(ids, wte, wpe)
    for n in range(len(blocks)):
        x = blocks[n](x)
    return torch.einsum("btd,vd->btv", ln_f(x), wte)


@right("forward")
def forward_as_a_module(ids, wte, wpe, blocks, ln_f):
    x = embed_in_loops(ids, wte, wpe)
    for block in blocks:
        x = block(x)
    return torch.matmul(ln_f(x), wte.transpose(0, 1))


# --- next_token_loss ------------------------------------------------------------------------------


@right("next_token_loss")
def loss_by_gather(logits, ids):
    log_p = logits.log_softmax(-1)[:, :-1]
    return -log_p.gather(-1, ids[:, 1:, None]).mean()


@right("next_token_loss")
def loss_by_logsumexp(logits, ids):
    said = logits[:, :-1]
    right_ones = said.gather(-1, ids[:, 1:].unsqueeze(-1)).squeeze(-1)
    return (said.logsumexp(-1) - right_ones).mean()


@right("next_token_loss")
def loss_with_an_ignored_end(logits, ids):
    targets = torch.full_like(ids, -100)
    targets[:, :-1] = ids[:, 1:]
    return F.cross_entropy(logits.transpose(1, 2), targets)


@right("next_token_loss")
def loss_in_loops(logits, ids):
    total, count = 0.0, 0
    for said, text in zip(logits, ids, strict=True):
        for t in range(len(text) - 1):
            total = total - said[t].log_softmax(0)[text[t + 1]]
            count += 1
    return total / count


# --- clip_gradients -------------------------------------------------------------------------------


@right("clip_gradients")
def clip_by_torch(gradients, most):
    parameters = [torch.zeros_like(g, requires_grad=True) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g.clone()
    torch.nn.utils.clip_grad_norm_(parameters, most)
    return [p.grad for p in parameters]


@right("clip_gradients")
def clip_one_long_vector(gradients, most):
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    factor = 1.0 if norm <= most else most / norm
    return [g * factor for g in gradients]


@right("clip_gradients")
def clip_with_numpy(gradients, most):
    norm = np.sqrt(sum(float((g.double().numpy() ** 2).sum()) for g in gradients))
    return [g.clone() if norm <= most else g * float(most / norm) for g in gradients]


# --- generate -------------------------------------------------------------------------------------


@right("generate")
def generate_by_gumbel(model, ids, n_new, n_positions, generator):
    """The largest of score plus Gumbel noise is a draw from softmax."""
    for _ in range(n_new):
        logits = model(ids[:, -n_positions:])[:, -1, :]
        noise = -torch.log(-torch.log(torch.rand(logits.shape, generator=generator)))
        ids = torch.cat([ids, (logits + noise).argmax(-1, keepdim=True)], dim=-1)
    return ids


@right("generate")
def generate_by_cumulative_sums(model, ids, n_new, n_positions, generator):
    texts = [list(row) for row in ids]
    for _ in range(n_new):
        p = model(torch.stack([torch.stack(text[-n_positions:]) for text in texts]))[:, -1].softmax(
            -1
        )
        for text, row in zip(texts, p, strict=True):
            u = torch.rand(1, generator=generator)
            text.append(torch.searchsorted(row.cumsum(0), u).clamp(max=len(row) - 1)[0])
    return torch.stack([torch.stack(text) for text in texts])


@right("generate")
def generate_into_room(model, ids, n_new, n_positions, generator):
    B, T = ids.shape
    text = torch.zeros(B, T + n_new, dtype=ids.dtype)
    text[:, :T] = ids
    for t in range(T, T + n_new):
        logits = model(text[:, max(0, t - n_positions) : t])
        text[:, t] = torch.multinomial(logits[:, -1].softmax(-1), 1, generator=generator)[:, 0]
    return text


# --- seconds_per_call -----------------------------------------------------------------------------


def one_by_one(work, wait, clock, repeats):
    work()
    wait()
    for _ in range(repeats):
        begun = clock()
        work()
        wait()
        yield clock() - begun


@right("seconds_per_call")
def seconds_mean(work, wait, clock, repeats=5):
    return statistics.mean(one_by_one(work, wait, clock, repeats))


@right("seconds_per_call")
def seconds_median(work, wait, clock, repeats=5):
    return statistics.median(one_by_one(work, wait, clock, repeats))


@right("seconds_per_call")
def seconds_with_a_helper(work, wait, clock, repeats=5):
    def now():
        wait()
        return clock()

    work()
    begun = now()
    for _ in range(repeats):
        work()
    return (now() - begun) / repeats


# --- learning_rate --------------------------------------------------------------------------------


@right("learning_rate")
def rate_with_sine(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    if step < warm:
        return (step + 1) * lr / warm
    done = (step - warm) / (steps - warm - 1) if steps > warm + 1 else 0.0
    return lr - (lr - final * lr) * math.sin(math.pi / 2 * done) ** 2


@right("learning_rate")
def rate_from_a_list(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    rates = [lr * (n + 1) / warm for n in range(warm)]
    for n in range(steps - warm):
        done = n / max(1, steps - warm - 1)
        rates.append(final * lr + (lr - final * lr) * 0.5 * (1 + math.cos(math.pi * done)))
    return rates[step]


@right("learning_rate")
def rate_by_numpy(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    up = np.arange(1, warm + 1) / max(1, warm)
    left = steps - warm
    angles = np.linspace(0, np.pi, left) if left > 1 else np.zeros(left)
    shares = np.concatenate([up, final + (1 - final) * (1 + np.cos(angles)) / 2])
    return float(lr * shares[step])
