"""From logits to text: temperature, top-k, top-p, min-p and repetition penalty, drawing, generation
with a cache.

Shapes: B texts, T tokens so far, V tokens in the vocabulary; logits and p are (..., V). Entropies
are in nats. A token that is cut has the logit -inf, so softmax gives it probability 0 and shares
its mass among the others.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_utils.attention.heads import softmax
from course_utils.machine.devices import wide
from course_utils.transformer_block.transformer import check_ids

# --- What changes the distribution ----------------------------------------------------------------


def repetition_penalty(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make tokens that occurred less likely: divide positive logits, multiply negative ones.

    Shapes: logits (B, V), ids (B, T) -> (B, V). A token counts once, however often it occurred.
    Raises: ValueError unless penalty > 0. Source: Keskar et al. 2019, "CTRL", section 4.1,
    which divides; the case of negative logits is that of transformers.

    >>> repetition_penalty(
    ...     torch.tensor([[2.0, -2.0, 2.0]]), ids=torch.tensor([[0, 1, 0]]), penalty=2.0
    ... )
    tensor([[ 1., -4.,  2.]])
    """
    if not penalty > 0:
        raise ValueError(
            f"the penalty must be above 0, not {penalty}: 1 changes nothing, 1.2 is usual"
        )
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, ids, True)  # (B, V)
    # A negative logit is multiplied: divided by 2 it would come closer to 0, and its token would
    # gain.
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def scale(logits: Tensor, temperature: float) -> Tensor:
    """Divide by the temperature: below 1 the likely tokens gain, above 1 the unlikely ones do.

    Shapes: logits (..., V) -> the same. Raises: ValueError unless temperature > 0; towards 0 it
    becomes `greedy`.
    Source: Ackley et al. 1985, "A Learning Algorithm for Boltzmann Machines".

    >>> scale(torch.tensor([1.0, 3.0]), temperature=0.5)
    tensor([2., 6.])
    """
    if not temperature > 0:
        raise ValueError(
            f"the temperature must be above 0, not {temperature}: for the limit of 0 see greedy()"
        )
    return logits / temperature


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k largest logits and cut all others; what ties with the k-th stays, too.

    Shapes: logits (..., V) -> the same, -inf where cut. A k above V cuts nothing.
    Raises: ValueError where k is not a whole number of at least 1. Source: Fan et al. 2018.

    >>> top_k(torch.tensor([1.0, 4.0, 2.0, 3.0]), k=2)
    tensor([-inf, 4., -inf, 3.])
    """
    if not isinstance(k, int) or k < 1:
        raise ValueError(
            f"k must be a whole number of at least 1, not {k}: it is how many tokens to keep"
        )
    # Compared with the k-th largest, not picked by place: what ties with it cannot be told apart,
    # so it stays.
    least = logits.topk(min(k, logits.size(-1))).values[..., -1:]  # (..., 1): the k-th largest
    return logits.masked_fill(logits < least, -torch.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest tokens whose probabilities add up to p or more (the nucleus) and cut all
    others.

    Shapes: logits (..., V) -> the same, -inf where cut. The likeliest token always stays.
    Raises: ValueError unless 0 < p <= 1. Source: Holtzman et al. 2020, section 3.1.

    >>> top_p(torch.tensor([0.1, 0.6, 0.3]).log(), p=0.7).exp()
    tensor([0.0000, 0.6000, 0.3000])
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be above 0 and at most 1, not {p}: it is the probability to keep")
    # thousands add up badly in 16 bits
    wide_logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    probability, order = softmax(wide_logits).sort(dim=-1, descending=True, stable=True)  # (..., V)
    # (..., V): what likelier tokens hold; 0 for the first, so it stays
    before = probability.cumsum(-1) - probability
    cut = (before >= p).scatter(-1, order, before >= p)  # back from rank to token
    return logits.masked_fill(cut, -torch.inf)


def min_p(logits: Tensor, p: float) -> Tensor:
    """Cut the tokens that are less likely than p times the likeliest one.

    Shapes: logits (..., V) -> the same, -inf where cut. Raises: ValueError unless 0 <= p <= 1.
    Source: Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling".

    >>> min_p(torch.tensor([0.1, 0.6, 0.3]).log(), p=0.4).exp()
    tensor([0.0000, 0.6000, 0.3000])
    """
    if not 0 <= p <= 1:
        raise ValueError(
            f"p must be at least 0 and at most 1, not {p}: it is a share of the largest probability"
        )
    probability = softmax(logits)  # (..., V)
    return logits.masked_fill(probability < p * probability.amax(-1, keepdim=True), -torch.inf)


# The order is that of transformers: the temperature comes first, and top-p and min-p cut what it
# has made of p.
SETTINGS = {"repetition_penalty": repetition_penalty, "temperature": scale, "top_k": top_k, "top_p": top_p, "min_p": min_p}  # fmt: skip


def distribution(logits: Tensor, ids: Tensor | None = None, **settings: float | None) -> Tensor:
    """The probabilities of the next token under these settings; the names and the order of work are
    those of SETTINGS.

    Shapes: logits (..., V), ids (B, T) for the penalty only -> (..., V). None switches a setting
    off.
    Raises: TypeError for a name that is not in SETTINGS; ValueError for a penalty without ids; and
    as the settings do.

    >>> distribution(torch.tensor([0.5, 0.4, 0.1]).log(), temperature=0.5, top_k=2)
    tensor([0.6098, 0.3902, 0.0000])
    """
    if unknown := sorted(settings.keys() - SETTINGS.keys()):
        raise TypeError(f"unknown setting {unknown[0]!r}: choose among {', '.join(SETTINGS)}")
    for name, change in SETTINGS.items():
        value = settings.get(name)
        if value is not None and name == "repetition_penalty":
            if ids is None:
                raise ValueError(
                    "a repetition penalty needs ids (B, T): the tokens that occurred so far"
                )
            logits = change(logits, ids, value)
        elif value is not None:
            logits = change(logits, value)
    return softmax(logits)  # (..., V)


def entropy(p: Tensor) -> Tensor:
    """How uncertain a distribution is: the mean of -log p under p itself, in nats; exp of it counts
    the open choices.

    Shapes: p (..., V) -> (...,). Source: Shannon 1948, section 6.

    >>> entropy(torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]])).exp()
    tensor([4., 1.])
    """
    return torch.special.entr(p).sum(-1)


# --- Drawing and generating -----------------------------------------------------------------------


def token_at(p: Tensor, u: Tensor) -> Tensor:
    """Turn points into tokens: the tokens share the line from 0 to 1, in the order of their ids, each
    with an interval as long as its probability.

    Shapes: p (B, V), u (B, n), points with 0 <= u < 1 -> (B, n), int64: in whose interval each point
    lies. An interval owns its left end, not its right one, so a token of probability 0 never comes.
    Rounding may leave the sum of p a little below 1: a point behind it belongs to the last token.
    Source: Devroye 1986, section III.2 (inversion).

    >>> token_at(torch.tensor([[0.25, 0.0, 0.75]]), torch.tensor([[0.0, 0.2, 0.25, 0.9]]))
    tensor([[0, 0, 2, 2]])
    """
    ends = wide(p).cumsum(-1)  # (B, V): where each token's interval ends
    # right=True: a point on the border belongs to the next token
    owner = torch.searchsorted(ends, wide(u).contiguous(), right=True)  # (B, n)
    return owner.clamp(max=p.size(-1) - 1).to(u.device)


def draw(p: Tensor, generator: torch.Generator, n: int = 1) -> Tensor:
    """Draw n tokens each, with replacement: throw a point on [0, 1) and see in whose interval it
    lies.

    Shapes: p (..., V), which need not sum to 1 -> (..., n), int64. The points come from the
    generator's own device, so a seed gives the same tokens wherever p is. Raises: ValueError where
    p is negative, not finite or all 0.
    Source: Devroye 1986, "Non-Uniform Random Variate Generation", section III.2 (inversion).

    >>> draw(torch.tensor([0.0, 1.0, 3.0]), torch.Generator().manual_seed(0), n=10)
    tensor([2, 2, 2, 2, 2, 2, 1, 2, 2, 2])
    """
    home = p.device
    p = wide(p)
    # float64 where there is one: 50,000 small numbers added up in float32 can be off by more than a
    # rare token's probability.
    total = p.sum(-1, keepdim=True)
    # one answer: a GPU is waited for once
    if not ((p >= 0).all() & (total > 0).all() & total.isfinite().all()):
        raise ValueError(
            "these are no probabilities: a number is negative or not finite, or all of a row are 0"
        )
    points = torch.rand(
        *p.shape[:-1], n, generator=generator, device=generator.device, dtype=torch.float64
    )
    return token_at(p, points.to(p.device) * total).to(home)


@torch.no_grad()
def next_token(model: nn.Module, ids: Tensor, **settings: float | None) -> Tensor:
    """The probabilities of the token that follows each text, under the settings of `distribution`.

    Shapes: ids (B, T) -> (B, V). Raises: ValueError for an empty text; and as the model and
    `distribution` do.

    >>> # the logit of the next number in the row is 1, all others are 0
    >>> def model(ids):
    ...     return torch.eye(5)[(ids + 1) % 5]
    >>> next_token(model, torch.tensor([[0, 1]]), top_k=1)
    tensor([[0., 0., 1., 0., 0.]])
    """
    _check_prompt(ids)
    return distribution(model(ids)[:, -1], ids, **settings)


def greedy(model: nn.Module, ids: Tensor, n_new: int) -> Tensor:
    """Append n_new tokens, always the most probable one, and read the whole text again for each.

    Shapes: ids (B, T) -> (B, T + n_new); the model maps (B, T) to logits (B, T, V).

    >>> greedy(lambda ids: torch.eye(5)[(ids + 1) % 5], torch.tensor([[0], [3]]), n_new=3)
    tensor([[0, 1, 2, 3],
            [3, 4, 0, 1]])
    """
    for _ in range(n_new):
        logits = model(ids)[:, -1]  # (B, V): only the last position knows the whole text
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)  # (B, T + 1)
    return ids


@torch.inference_mode()
def generate(
    model: nn.Module,
    ids: Tensor,
    n_new: int,
    generator: torch.Generator | None = None,
    *,
    stop: int | None = None,
    cached: bool = True,
    on_token: Callable[[int], None] | None = None,
    **settings: float | None,
) -> Tensor:
    """Append up to n_new tokens: drawn with the generator under the settings of `distribution`, or
    without one greedily.

    With `cached`, a model that has a cache reads each token once. `stop` is an id that ends a text:
    the row is filled with it, and when all have ended no more is generated. `on_token(n)` is called
    after the n-th new token.
    Shapes: ids (B, T) -> (B, T + n), n <= n_new, on the device of ids. One seed gives one text.
    Raises: ValueError for an empty prompt, for more tokens than n_positions, for settings that need
    a generator; and as the model and `distribution` do.

    >>> generate(lambda ids: torch.eye(5)[(ids + 1) % 5], torch.tensor([[0], [3]]), n_new=4, stop=0)
    tensor([[0, 1, 2, 3, 4],
            [3, 4, 0, 0, 0]])
    """
    _check_prompt(ids)
    B, T = ids.shape
    _check_room(model, T, n_new)
    if generator is None and (
        useless := sorted(
            name for name in settings.keys() - {"repetition_penalty"} if settings[name] is not None
        )
    ):
        raise ValueError(
            f"{useless[0]} says how to draw, and there is nothing to draw with: pass a generator, such as "
            "torch.Generator().manual_seed(0)"
        )
    # Room for the whole text at once: to append token by token would copy all of it for each.
    text = torch.cat([ids, ids.new_zeros(B, n_new)], dim=1)  # (B, T + n_new)
    caches = model.cache(T + n_new) if cached and hasattr(model, "cache") else None
    ended = torch.zeros(B, dtype=torch.bool, device=ids.device)
    for t in range(T, T + n_new):
        # with a cache: what is new
        read = text[:, :t] if caches is None or t == T else text[:, t - 1 : t]
        # last: a prompt of T tokens has T rows of V logits, and only the last row says what comes
        # next. (B, V)
        logits = (model(read) if caches is None else model(read, caches, last=True))[:, -1]
        text[:, t] = _choose(logits, text[:, :t], generator, settings)
        if stop is not None:
            text[ended, t] = stop
            ended |= text[:, t] == stop
        if on_token is not None:
            on_token(t - T + 1)
        if stop is not None and ended.all():
            return text[:, : t + 1].clone()
    return text


def _choose(
    logits: Tensor, ids: Tensor, generator: torch.Generator | None, settings: dict
) -> Tensor:
    if generator is not None:
        return draw(distribution(logits, ids, **settings), generator)[:, 0]  # (B,)
    return (distribution(logits, ids, **settings) if settings else logits).argmax(-1)  # (B,)


def _check_prompt(ids: Tensor) -> None:
    check_ids(ids)
    if ids.numel() == 0:
        raise ValueError(
            "the prompt is empty: give at least one token, such as the one that ends a text"
        )


def _check_room(model: nn.Module, T: int, n_new: int) -> None:
    n_positions = getattr(getattr(model, "config", None), "n_positions", None)
    if not isinstance(n_new, int) or n_new < 0:
        raise ValueError(
            f"n_new must be a whole number of at least 0, not {n_new}: it is how many tokens to add"
        )
    if n_positions is not None and T + n_new > n_positions:
        raise ValueError(
            f"{T} tokens and {n_new} new ones, but the model has n_positions={n_positions}: cut the prompt "
            f"or take n_new <= {max(n_positions - T, 0)}"
        )
