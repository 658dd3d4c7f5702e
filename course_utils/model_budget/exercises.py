"""Exercises of lesson 08. The right values come from counting real tensors, from torch's FLOP
counter and from transformers.
"""

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils.checking import Exercises, Wrong, expect
from course_utils.checking.inputs import normal
from course_utils.gpt2 import model as gpt2
from course_utils.gpt2.exercises import some_config
from course_utils.model_budget import census

EXERCISES = Exercises()


# --- count_parameters -----------------------------------------------------------------------------


@cache
def really(config: gpt2.GPTConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in gpt2.GPT(config).parameters())


def parameter_mistakes(config: gpt2.GPTConfig, want: int) -> dict[str, int]:
    d = config.n_embd
    V = config.vocab_size
    P = config.n_positions
    L = config.n_layer
    H = config.n_head
    tied = config.tie_word_embeddings
    f = config.n_inner or 4 * d
    biases = L * (5 * d + f)
    return {
        "the tied head is the token embedding once more: count it once": want + V * d * tied,
        "where tie_word_embeddings is False, the head has a matrix of its own": want - V * d * (not tied),
        "you left out all biases, those of the LayerNorms, too": want - biases - (2 * L + 1) * d,
        "you left out the biases of the matrices": want - biases,
        "you left out the LayerNorms": want - (4 * L + 2) * d,
        "a LayerNorm has a gain and a shift, so 2·d": want - (2 * L + 1) * d,
        "the last LayerNorm (ln_f, after the blocks) is missing": want - 2 * d,
        "the position embedding is missing": want - P * d,
        "the token embedding is missing": want - V * d,
        "both embeddings are missing; they are parameters, too": want - V * d - P * d,
        "the output matrix c_proj of the attention is missing": want - L * d**2,
        "all heads together have d features; you gave d to each": want + L * 3 * d**2 * (H - 1),
        "you counted a bias of the head; it has none": want + V,
        "one of the two MLP matrices is missing": want - L * d * f,
        "there are n_layer blocks; you counted one": want - (L - 1) * (4 * d**2 + 9 * d + 2 * d * f + f),
        "the MLP is n_inner wide where that is given, not 4·n_embd": want - L * (2 * d + 1) * (f - 4 * d),
        "12·L·d² + V·d is a rule of thumb; count everything, biases, LayerNorms and positions, too": 12 * L * d**2 + V * d,
    }  # fmt: skip


@EXERCISES.add(
    census.count_parameters,
    difficulty=2,
    minutes=10,
    hints=[
        "Write the shape of each tensor beside its name: wte (V, d), wpe (P, d); in each block two LayerNorms, c_attn, c_proj, "
        "c_fc and c_proj; after the blocks one more LayerNorm.",
        "c_attn makes queries, keys and values at once: (3d, d) and 3d biases. A LayerNorm has a gain and a shift: 2d numbers. "
        "The MLP is f wide: config.n_inner, or 4d where that is None.",
        "A block has 4d² + 4d (attention) + 2df + f + d (MLP) + 4d (two LayerNorms). The head adds V·d only where "
        "config.tie_word_embeddings is False; it has no bias.",
    ],
)
def check_count_parameters(student: Callable, rng: random.Random) -> None:
    plain = some_config(rng)
    variants = [plain, replace(plain, tie_word_embeddings=False), replace(plain, n_inner=rng.randint(30, 40)),
                replace(plain, n_layer=0), gpt2.GPTConfig.preset(rng.choice(list(gpt2.SIZES)))]  # fmt: skip
    for config in variants:
        want = really(config)
        fields = "n_layer n_embd vocab_size n_positions n_inner tie_word_embeddings"
        call = f"count_parameters of {', '.join(f'{name}={getattr(config, name)}' for name in fields.split())}"
        got = student(config)
        if isinstance(got, float) and got == want:
            raise Wrong(
                f"{call}: the number is right, but a count is an int: use // or no division at all."
            )
        expect(got, want, call, mistakes=parameter_mistakes(config, want))


# --- stays_tied -----------------------------------------------------------------------------------


class TwoLayers(nn.ModuleDict):
    """A token table and a head, tied in one of WAYS. A copy of it, such as the engine makes, is tied
    in the same way; a plain deep copy would give two parameters memory of their own.
    """

    def __init__(self, way: str, table: torch.Tensor, head: torch.Tensor) -> None:
        V, d = table.shape
        super().__init__({"wte": nn.Embedding(V, d), "lm_head": nn.Linear(d, V, bias=False)})
        self.way = way
        self.wte.weight.data = table
        if way == "one parameter with two names":
            self.lm_head.weight = self.wte.weight
        elif way == "two parameters on the same memory":
            self.lm_head.weight = nn.Parameter(self.wte.weight)
        else:
            self.lm_head.weight.data = head

    def __deepcopy__(self, memo: dict) -> "TwoLayers":
        table = self.wte.weight.detach().clone()
        return TwoLayers(self.way, table, self.lm_head.weight.detach().clone())


WAYS = ("two tables", "one parameter with two names", "two tables of equal numbers",
        "two parameters on the same memory")  # fmt: skip


def drawn(way: str, rng: random.Random) -> TwoLayers:
    V = rng.randint(5, 9)
    d = rng.randint(2, 4)
    table = normal(rng, V, d)
    return TwoLayers(way, table, table.clone() if "equal" in way else normal(rng, V, d))


def one_table_after_a_move(model: TwoLayers) -> bool:
    model = copy.deepcopy(model).to(torch.float64)
    return model.lm_head.weight.data_ptr() == model.wte.weight.data_ptr()


@EXERCISES.add(
    census.stays_tied,
    difficulty=2,
    minutes=4,
    gradients=False,  # a model is looked at, nothing is computed
    hints=[
        "Equal numbers are no sign: a copy has them, too. Equal memory is none either. What else can two names share?",
        "With .to(…), each parameter gets new memory of its own. What still holds for a parameter that has two names?",
        "`a is b` says whether two names mean the same object. Ask it of the two weights.",
    ],
    mistakes={
        "two parameters on the same memory part at the first move: ask whether the two are one object": (
            lambda m: m.lm_head.weight.data_ptr() == m.wte.weight.data_ptr()
        ),
        "a copy has equal numbers, too, and is trained apart": (
            lambda m: torch.equal(m.lm_head.weight, m.wte.weight)
        ),
        "two tables of the same shape need not be tied": lambda m: m.lm_head.weight.shape == m.wte.weight.shape,
        "it is the other way round": lambda m: m.lm_head.weight is not m.wte.weight,
        "you never find a tied head": lambda m: False,
    },
)  # fmt: skip
def check_stays_tied(student: Callable, rng: random.Random) -> None:
    for way in (*WAYS, *WAYS):
        model = drawn(way, rng)
        call = f"stays_tied(model), a model with {way} of shape {tuple(model.wte.weight.shape)}"
        expect(student(model), one_table_after_a_move(model), call)


# --- flops_per_token ------------------------------------------------------------------------------


@cache
def measured_flops(config: gpt2.GPTConfig, T: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        gpt2.GPT(config).set_attention("explicit")(torch.zeros(1, T, dtype=torch.long))
    return counter.get_total_flops() // T


def flop_mistakes(config: gpt2.GPTConfig, T: int, want: int) -> dict[str, int]:
    d = config.n_embd
    V = config.vocab_size
    P = config.n_positions
    L = config.n_layer
    H = config.n_head
    f = config.n_inner or 4 * d
    weights = L * (4 * d**2 + 2 * d * f) + V * d
    return {
        "a multiplication and an addition are 2 FLOPs; you counted 1": want // 2,
        "you left out the attention maps: scores and average, each 2·d for each of T positions": 2 * weights,
        "you left out the head: it is a product with (V, d), tied or not": want - 2 * V * d,
        "a tied head is a product with (V, d), too; you left it out": want - 2 * V * d * config.tie_word_embeddings,
        "the head is there once; the embedding is looked up and takes nothing": want + 2 * V * d,
        "looking a position up takes no product": want + 2 * P * d,
        "this is the number for all T tokens; divide by T": want * T,
        "the attention maps take 4·T·d in each block, 2·T·d for the scores and as much for the average, masked or not; yours take half":
            want - L * 2 * T * d,
        "torch computes the whole map, also what the mask hides: T positions for each token, not (T + 1) / 2":
            2 * weights + L * 2 * (T + 1) * d,
        "each head has d / n_head features, so all heads together take d; you multiplied by the heads":
            2 * weights + L * 4 * T * d * H,
        "T is the length of the text, not n_positions": 2 * weights + L * 4 * P * d,
        "this is a training step; a forward pass takes a third of it": 3 * want,
        "6 FLOPs a parameter is the rule for training; count the products of the forward pass":
            6 * census.count_parameters(config),
        "2 FLOPs a parameter is the rule of thumb; embeddings and biases are no products, and attention maps are missing":
            2 * census.count_parameters(config),
        "the MLP is n_inner wide where that is given, not 4·n_embd": want - 4 * L * d * (f - 4 * d),
    }  # fmt: skip


@EXERCISES.add(
    census.flops_per_token,
    difficulty=3,
    minutes=12,
    hints=[
        "A vector of a numbers times a matrix (a, b) takes a·b multiplications and as many additions. So each weight of a matrix "
        "costs 2 FLOPs a token. Which matrices does a token meet?",
        "In each block: 4d² in the attention and 2df in the MLP. At the end V·d in the head. In between, each query meets T keys "
        "of d numbers (all heads together), and the average takes as much again.",
        "2 · (L·(4d² + 2df) + V·d) + L · 4·T·d. A T outside 1 … config.n_positions raises a ValueError.",
    ],
    refuses=[(gpt2.GPTConfig(), 1025), (gpt2.GPTConfig(), 0)],
)
def check_flops_per_token(student: Callable, rng: random.Random) -> None:
    plain = some_config(rng)
    for config in (
        plain,
        replace(plain, tie_word_embeddings=False),
        replace(plain, n_inner=rng.randint(30, 40)),
        replace(plain, n_head=2),
    ):
        for T in (1, rng.randint(5, 20)):
            fields = "n_layer n_head n_embd vocab_size n_inner tie_word_embeddings"
            call = f"flops_per_token(config, T={T}) with {', '.join(f'{name}={getattr(config, name)}' for name in fields.split())}"
            want = measured_flops(config, T)
            got = student(config, T)
            if isinstance(got, float) and got == want:
                raise Wrong(
                    f"{call}: the number is right, but a count is an int: use // or no division at all."
                )
            expect(got, want, call, mistakes=flop_mistakes(config, T, want))


# --- largest_batch --------------------------------------------------------------------------------


def largest(fits: Callable[[int], bool]) -> int:
    """The largest number that fits, tried one by one."""
    B = 0
    while fits(B + 1):
        B += 1
    return B


def kinds(config: gpt2.GPTConfig, B: int, T: int, *names: str) -> int:
    memory = census.training_memory(config, B, T)
    return sum(memory[name] for name in names or memory)


@EXERCISES.add(
    census.largest_batch,
    difficulty=2,
    minutes=8,
    hints=[
        "training_peak(config, B, T) grows with B. Try B = 1, 2, 3, … until it is above the room. What do you return if B = 1 is above it?",
        "Do not divide the room by the peak of one text: the weights and what Adam keeps are there once, however many texts there are.",
        "Begin with B = 0. As long as training_peak(config, B + 1, T) <= room, add 1 to B. Then return B.",
    ],
    refuses=[(gpt2.GPTConfig(), 1025, 2**33), (gpt2.GPTConfig(), 0, 2**33)],
    mistakes={
        "the weights and what Adam keeps are there once, not once for each text; you divided the room by the peak of one text": (
            lambda config, T, room: room // census.training_peak(config, 1, T)
        ),
        "this is one text more than fits": lambda config, T, room: census.largest_batch(config, T, room) + 1,
        "one text more would fit": lambda config, T, room: max(0, census.largest_batch(config, T, room) - 1),
        "a peak that is exactly as large as the room still fits": (
            lambda config, T, room: census.largest_batch(config, T, room - 1)
        ),
        "where not even one text fits, the answer is 0": (
            lambda config, T, room: max(1, census.largest_batch(config, T, room))
        ),
        "you added every kind at its own fullest moment; training_peak says what is there at one time": (
            lambda config, T, room: largest(lambda B: kinds(config, B, T) <= room)
        ),
        "you left out the weights and what Adam keeps": (
            lambda config, T, room: largest(lambda B: kinds(config, B, T, "activations", "logits") <= room)
        ),
        "the texts have T tokens, not n_positions": (
            lambda config, T, room: census.largest_batch(config, config.n_positions, room)
        ),
        "a batch need not be a power of two": (
            lambda config, T, room: 2 ** census.largest_batch(config, T, room).bit_length() // 2
        ),
    },
)  # fmt: skip
def check_largest_batch(student: Callable, rng: random.Random) -> None:
    for T in (7, rng.randint(10, 20)):
        config = some_config(rng)
        for B, more in ((3, 100), (rng.randint(8, 20), 0), (rng.randint(5, 30), 500), (0, 9)):
            room = census.training_peak(config, B, T) + more if B else more
            call = f"largest_batch(config, T={T}, room={room:_})"
            want = largest(lambda b, c=config, t=T, r=room: census.training_peak(c, b, t) <= r)
            expect(student(config, T, room), want, call)


# --- kv_cache_bytes -------------------------------------------------------------------------------


@cache
def really_kept(config: gpt2.GPTConfig, B: int, T: int) -> int:
    """The bytes of a real cache of float32."""
    return sum(layer.nbytes for layer in _filled(config, B, T))


def _filled(config: gpt2.GPTConfig, B: int, T: int) -> list:
    model = gpt2.GPT(config).eval()
    cache_of_it = model.cache(T)
    with torch.no_grad():
        model(torch.zeros(B, T, dtype=torch.long), cache_of_it)
    return cache_of_it


def kept(config: gpt2.GPTConfig, B: int, T: int, n_bytes: int = 4) -> int:
    return census.kv_cache_bytes(config, B, T, n_bytes)


@EXERCISES.add(
    census.kv_cache_bytes,
    difficulty=2,
    minutes=5,
    hints=[
        "Which of queries, keys and values does a later token need again? In how many blocks, and for how many tokens?",
        "A block keeps one key and one value for each token. How many numbers are a key, of all heads together?",
        "Keys and values are 2, in n_layer blocks, for B * T tokens, of n_embd numbers each, of n_bytes bytes each.",
    ],
    refuses=[(gpt2.GPTConfig(), 1, 1025), (gpt2.GPTConfig(), 1, 0), (gpt2.GPTConfig(), 0, 5)],
    mistakes={
        "keys and values are kept, both; you counted one of them": lambda c, B, T, n_bytes=4: kept(c, B, T, n_bytes) // 2,
        "queries are not kept: no later token needs them": lambda c, B, T, n_bytes=4: 3 * kept(c, B, T, n_bytes) // 2,
        "every block has its own keys and values; you counted one block": (
            lambda c, B, T, n_bytes=4: kept(c, B, T, n_bytes) // c.n_layer
        ),
        "all heads together have n_embd features; you gave as many to each": (
            lambda c, B, T, n_bytes=4: kept(c, B, T, n_bytes) * c.n_head
        ),
        "each block has n_head heads; you counted one": lambda c, B, T, n_bytes=4: kept(c, B, T, n_bytes) // c.n_head,
        "each of the B texts has keys and values of its own": lambda c, B, T, n_bytes=4: kept(c, 1, T, n_bytes),
        "the texts have T tokens, not n_positions": lambda c, B, T, n_bytes=4: kept(c, B, c.n_positions, n_bytes),
        "you counted numbers; each has n_bytes bytes": lambda c, B, T, n_bytes=4: kept(c, B, T, 1),
        "a number has n_bytes bytes, which are not always 4": lambda c, B, T, n_bytes=4: kept(c, B, T, 4),
    },
)  # fmt: skip
def check_kv_cache_bytes(student: Callable, rng: random.Random) -> None:
    for B, n_bytes in ((1, 4), (3, 2), (rng.randint(4, 7), 4), (5, 1)):
        config = some_config(rng)
        T = rng.randint(5, 20)
        sizes = f"n_layer={config.n_layer}, n_head={config.n_head}, n_embd={config.n_embd}"
        call = f"kv_cache_bytes(config, B={B}, T={T}, n_bytes={n_bytes}) with {sizes}"
        want = really_kept(config, B, T) * n_bytes // 4
        got = student(config, B, T, n_bytes)
        if isinstance(got, float) and got == want:
            raise Wrong(
                f"{call}: the number is right, but bytes are an int: use // or no division at all."
            )
        expect(got, want, call)


# --- flop_utilization -----------------------------------------------------------------------------


@EXERCISES.add(
    census.flop_utilization,
    difficulty=2,
    minutes=5,
    hints=[
        "Two numbers of FLOP: the work that the training is, and what the GPUs could have done in all their hours.",
        "The work is 6 for each parameter and token: 2 on the way up, 4 on the way down. An hour has 3,600 seconds.",
        "6 * n_parameters * n_tokens / (gpu_hours * 3600 * peak). Before that: a ValueError unless both of the last two are above 0.",
    ],
    refuses=[(1e9, 1e10, 0, 1e14), (1e9, 1e10, 100, -1e14)],
    mistakes={
        "you counted the forward pass only; the way down takes twice as much again": (
            lambda n_parameters, n_tokens, gpu_hours, peak: 2 * n_parameters * n_tokens / (gpu_hours * 3600 * peak)
        ),
        "you counted the way down only; the forward pass takes 2 FLOP more": (
            lambda n_parameters, n_tokens, gpu_hours, peak: 4 * n_parameters * n_tokens / (gpu_hours * 3600 * peak)
        ),
        "you counted 1 FLOP for each parameter and token; a training takes 6": (
            lambda n_parameters, n_tokens, gpu_hours, peak: n_parameters * n_tokens / (gpu_hours * 3600 * peak)
        ),
        "the peak is for a second, and an hour has 3,600": (
            lambda n_parameters, n_tokens, gpu_hours, peak: 6 * n_parameters * n_tokens / (gpu_hours * peak)
        ),
        "an hour has 3,600 seconds, not 60": (
            lambda n_parameters, n_tokens, gpu_hours, peak: 6 * n_parameters * n_tokens / (gpu_hours * 60 * peak)
        ),
        "this is the fraction upside down": (
            lambda n_parameters, n_tokens, gpu_hours, peak: gpu_hours * 3600 * peak / (6 * n_parameters * n_tokens)
        ),
        "you gave percent; a share lies between 0 and 1": (
            lambda n_parameters, n_tokens, gpu_hours, peak: 600 * n_parameters * n_tokens / (gpu_hours * 3600 * peak)
        ),
        "this is what a GPU does in a second; divide it by the peak": (
            lambda n_parameters, n_tokens, gpu_hours, peak: 6 * n_parameters * n_tokens / (gpu_hours * 3600)
        ),
    },
)  # fmt: skip
def check_flop_utilization(student: Callable, rng: random.Random) -> None:
    for _ in range(4):
        n_parameters = rng.uniform(1, 90) * 1e9
        n_tokens = rng.uniform(10, 900) * 1e9
        peak = rng.uniform(50, 900) * 1e12
        share = rng.uniform(0.15, 0.6)
        # no rule of thumb here: the seconds of each pass are added up
        up = 2 * n_parameters * n_tokens / (share * peak)
        hours = (up + 2 * up) / 3600
        call = (
            f"flop_utilization(n_parameters={n_parameters:.4g}, n_tokens={n_tokens:.4g}, "
            f"gpu_hours={hours:.4g}, peak={peak:.4g})"
        )
        expect(student(n_parameters, n_tokens, hours, peak), share, call)
