"""What a GPT-2 consists of and what it costs: parameters, memory, floating-point operations,
dollars.

d = n_embd features, V tokens in the vocabulary, P = n_positions, L = n_layer blocks, H heads, f =
n_inner (4d). B texts of T tokens each. 1 FLOP is one addition or one multiplication, so a product
of matrices (a, b) and (b, c) takes 2abc. Everything here holds for a pre-norm GPT with biases; a
formula stands beside every count.
"""

from dataclasses import dataclass
from weakref import WeakSet

import torch
from torch import Tensor, nn

from course_utils.gpt2.model import GPT, GPTConfig

FORMULAS = {
    "token embedding": "V·d",
    "position embedding": "P·d",
    "attention weights": "L·4d²",
    "attention biases": "L·4d",
    "MLP weights": "L·2df",
    "MLP biases": "L·(f + d)",
    "LayerNorm": "L·4d + 2d",
    "head": "0 if tied, else V·d",
}

# --- Parameters -----------------------------------------------------------------------------------


def count_parameters(config: GPTConfig) -> int:
    """Say how many parameters a GPT-2 has, from its configuration alone.

    They are the two embeddings, all matrices and biases of the blocks, all LayerNorms, and the
    head unless it is tied. The MLP is config.n_inner wide, or 4 * n_embd where that is None.
    Source: Radford et al. 2019, section 2.3; the counts are those of the released weights.

    >>> count_parameters(GPTConfig.preset("gpt2"))
    124439808
    """
    d = config.n_embd
    V = config.vocab_size
    P = config.n_positions
    L = config.n_layer
    f = config.n_inner or 4 * d
    attention = 4 * d**2 + 4 * d  # c_attn is (3d, d), c_proj is (d, d)
    mlp = 2 * d * f + f + d
    norms = 4 * d  # two of them, with a gain and a shift each
    head = 0 if config.tie_word_embeddings else V * d
    return V * d + P * d + L * (attention + mlp + norms) + 2 * d + head


def stays_tied(model: nn.Module) -> bool:
    """Say whether a model's head is tied to its token table in such a way that it still is after the
    model was moved to another device or number format.

    model.wte is an nn.Embedding, model.lm_head an nn.Linear. The model is not moved and not changed.

    >>> model = nn.ModuleDict({"wte": nn.Embedding(5, 2), "lm_head": nn.Linear(2, 5, bias=False)})
    >>> stays_tied(model)
    False
    >>> model.lm_head.weight = model.wte.weight
    >>> stays_tied(model)
    True
    """
    return model.lm_head.weight is model.wte.weight


def predicted(config: GPTConfig) -> dict[str, int]:
    """The FORMULAS, evaluated: component -> parameters.

    >>> predicted(GPTConfig.preset("gpt2"))["MLP weights"]
    56623104
    """
    d = config.n_embd
    V = config.vocab_size
    P = config.n_positions
    L = config.n_layer
    f = config.n_inner or 4 * d
    counts = (V * d, P * d, L * 4 * d**2, L * 4 * d, L * 2 * d * f, L * (f + d), L * 4 * d + 2 * d,
              0 if config.tie_word_embeddings else V * d)  # fmt: skip
    return dict(zip(FORMULAS, counts, strict=True))


def on_meta(config: GPTConfig) -> GPT:
    """The model without its numbers: names and shapes only, on torch's meta device, in no memory.

    >>> on_meta(GPTConfig.preset("gpt2-xl")).wte.weight.device
    device(type='meta')
    """
    with torch.device("meta"):
        return GPT(config)


def counted(model: GPT) -> dict[str, int]:
    """The parameters that are really there, by the components of FORMULAS; a tensor with two names
    counts once.

    >>> counted(on_meta(GPTConfig.preset("gpt2"))) == predicted(GPTConfig.preset("gpt2"))
    True
    """
    counts = dict.fromkeys(FORMULAS, 0)
    # gives a shared tensor once, under its first name
    for name, parameter in model.named_parameters():
        counts[_component(name)] += parameter.numel()
    return counts


def _component(name: str) -> str:
    whole = {
        "wte.weight": "token embedding",
        "wpe.weight": "position embedding",
        "lm_head.weight": "head",
    }
    if name in whole:
        return whole[name]
    if "ln_" in name:
        return "LayerNorm"
    kind = "biases" if name.endswith("bias") else "weights"
    return f"{'attention' if '.attn.' in name else 'MLP'} {kind}"


# --- Memory ---------------------------------------------------------------------------------------


def training_memory(
    config: GPTConfig,
    B: int,
    T: int,
    n_bytes: int = 4,
    fused: bool = True,
    checkpointing: bool = False,
) -> dict[str, int]:
    """What a training step with Adam keeps in memory, in bytes, by component, each at its own
    fullest moment.

    weights, gradients and Adam: 1 + 1 + 2 numbers a parameter. activations: what the backward pass
    needs of the forward pass; a block keeps 8d + 2f numbers a token (the stream twice, both
    LayerNorms' outputs, q, k, v, the heads' outputs, the MLP before and after its GELU), and
    explicit attention 2 maps (T, T) a head; checkpointing keeps d numbers a token and block, and
    the rest of one block while it is computed again. logits: 3V a token, where the backward pass
    begins: the log-probabilities, their gradient, and the logits' gradient. They are not all there
    at once: what a step needs is `training_peak`.
    n_bytes a number: 4 in float32, 2 in bfloat16. Raises: ValueError for fewer than 1 text or
    token, or T > P.
    Source: counted by hand, as Korthikanti et al. 2022, "Reducing Activation Recomputation",
    section 4, do for theirs.

    >>> memory = training_memory(GPTConfig.preset("gpt2"), B=8, T=1024)
    >>> {name: f"{size / 2**30:.2f} GiB" for name, size in memory.items()}
    {'weights': '0.46 GiB', 'gradients': '0.46 GiB', 'Adam': '0.93 GiB', 'activations': '4.55 GiB', 'logits': '4.60 GiB'}
    """
    _check_size(config, B, T)
    kept, block = _activations(config, B, T, fused)
    inside = (
        B * T * config.n_embd * config.n_layer + block * bool(config.n_layer)
        if checkpointing
        else kept
    )
    weights = n_bytes * count_parameters(config)
    return {"weights": weights, "gradients": weights, "Adam": 2 * weights,
            "activations": n_bytes * (inside + _outside(config, B, T)),
            "logits": n_bytes * 3 * B * T * config.vocab_size}  # fmt: skip


def training_peak(
    config: GPTConfig,
    B: int,
    T: int,
    n_bytes: int = 4,
    fused: bool = True,
    checkpointing: bool = False,
) -> int:
    """The bytes at the fullest moment of a training step, when Adam's means exist already.

    Weights and Adam are always there. The rest is fullest at one of these moments: where the
    backward pass begins (all activations, three times the logits, no gradient yet); where it ends
    (all gradients, and those of a tied table from both of its uses); with checkpointing, where the
    last block has been computed again, with its MLP's gradients on top; with explicit attention, in
    the last block's maps. It holds for gradients that are dropped after each step, and for AdamW in
    one kernel (fused=True). `memory.step_peak` counts: the two agree within 3 %, with checkpointing
    10 %. Raises: as `training_memory`.

    >>> f"{training_peak(GPTConfig.preset('gpt2'), B=8, T=1024) / 2**30:.1f} GiB"
    '10.5 GiB'
    """
    memory = training_memory(config, B, T, n_bytes, fused, checkpointing)
    d = config.n_embd
    H = config.n_head
    f = config.n_inner or 4 * config.n_embd
    kept = memory["activations"]
    token = n_bytes * B * T
    table = n_bytes * config.vocab_size * d
    moments = [memory["gradients"] + (2 * table if config.tie_word_embeddings else 0)]
    if config.n_layer and checkpointing:
        moments.append(kept + table + token * (2 * f + d))
    if config.n_layer and not fused:  # the MLP's part is gone, gradients of maps have come
        moments.append(kept + table + token * (3 * H * T - 2 * f - 2 * d))
    if checkpointing:
        # no block has been computed again yet
        kept -= n_bytes * _activations(config, B, T, fused)[1]
    moments.append(kept + memory["logits"])
    return memory["weights"] + memory["Adam"] + max(moments)


def _activations(config: GPTConfig, B: int, T: int, fused: bool) -> tuple[int, int]:
    """How many numbers all blocks keep, and how many one keeps."""
    d = config.n_embd
    f = config.n_inner or 4 * config.n_embd
    block = B * T * (8 * d + 2 * f + 4)  # 4: mean and spread of both LayerNorms
    # fused: one number for each row of a map
    block += B * T * config.n_head * (1 if fused else 2 * T + 1)
    return block * config.n_layer, block


def _outside(config: GPTConfig, B: int, T: int) -> int:
    """How many numbers the last LayerNorm keeps: its input and output, mean and spread."""
    return B * T * (2 * config.n_embd + 2)


class _Kept:
    """A tensor in autograd's keeping; it goes when the graph lets go of it."""

    def __init__(self, x: Tensor) -> None:
        self.x = x


def saved_activations(model: nn.Module, ids: Tensor) -> dict[str, int]:
    """What autograd really keeps of a forward pass with a language loss, in bytes: "activations"
    and "logits".

    Of the logits that is one V a token, their logarithms: a third of what `training_memory` says.
    Counts every piece of memory once, without the parameters and the ids. Shapes: ids (B, T).
    With checkpointing it sees what is kept between the passes, not the block that is computed
    again.

    >>> model = GPT(GPTConfig(n_layer=2, n_head=2, n_embd=8, vocab_size=10, n_positions=8))
    >>> # 8 tokens, 10 logits, 4 bytes
    >>> saved_activations(model, torch.zeros(1, 8, dtype=torch.long))["logits"]
    320
    """
    known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    # some are saved and dropped within the forward pass: they do not count
    kept: WeakSet[_Kept] = WeakSet()

    def keep(x: Tensor) -> _Kept:
        # without its history, which would keep the graph, and so itself, alive
        piece = _Kept(x.detach())
        if x.is_floating_point() and x.ndim and x.untyped_storage().data_ptr() not in known:
            kept.add(piece)
        return piece

    def size() -> int:
        return sum(
            {
                p.x.untyped_storage().data_ptr(): p.x.untyped_storage().nbytes() for p in kept
            }.values()
        )

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda piece: piece.x):
        logits = model(ids)  # (B, T, V)
        inside = size()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten())
        # it is held until here: the graph, and what it keeps, lives as long
        assert loss.requires_grad
        return {"activations": inside, "logits": size() - inside}


def kv_cache_bytes(config: GPTConfig, B: int, T: int, n_bytes: int = 4) -> int:
    """Say how many bytes a model's key-value cache takes, once B texts have T tokens each.

    n_bytes: the bytes of one number, 4 in float32, 2 in float16. Everything that a GPT-2 keeps to
    write the next token counts, in the whole model. Raises: ValueError for B < 1, T < 1 and
    T > n_positions. Source: Pope et al. 2022, section 2.

    >>> kv_cache_bytes(GPTConfig.preset("gpt2"), B=1, T=1024) / 2**20  # MiB
    72.0
    """
    _check_size(config, B, T)
    return 2 * config.n_layer * B * T * config.n_embd * n_bytes


def largest_batch(config: GPTConfig, T: int, room: int) -> int:
    """Find how many texts of T tokens a training step can take at once in `room` bytes: the largest
    B whose `training_peak` is not above it, and 0 where not even one text fits.

    All numbers are float32, attention is fused, and nothing is computed twice: training_peak(config,
    B, T) as it is. Raises: ValueError for T < 1 or T > n_positions.

    >>> config = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=500, n_positions=32)
    >>> training_peak(config, B=7, T=32), training_peak(config, B=8, T=32)
    (2025216, 2288640)
    >>> largest_batch(config, T=32, room=2_100_000)
    7
    """
    B = 0
    step = 1
    while training_peak(config, step, T) <= room:  # doubled until it no longer fits
        step *= 2
    while step := step // 2:
        if training_peak(config, B + step, T) <= room:
            B += step
    return B


def _check_size(config: GPTConfig, B: int, T: int) -> None:
    if B < 1 or T < 1:
        raise ValueError(f"B={B}, T={T}: at least one text of at least one token is needed")
    if T > config.n_positions:
        raise ValueError(
            f"T={T}, but the model has n_positions={config.n_positions}: take a shorter text, or a "
            "configuration with more"
        )


# --- Arithmetic and money -------------------------------------------------------------------------


def flops_per_token(config: GPTConfig, T: int) -> int:
    """Count the FLOPs of all matrix products in a forward pass over T tokens, for each token.

    A multiplication is one and an addition is one. What counts: each weight of a matrix in the
    blocks and in the head, tied or not; and in every block the products of queries with keys and of
    attention weights with values, where each position meets all T, causal or not. Embeddings are
    looked up and take none.
    Raises: ValueError for T < 1 or T > n_positions.
    Source: Kaplan et al. 2020, table 1; Chowdhery et al. 2022 (PaLM), appendix B.

    >>> flops_per_token(GPTConfig.preset("gpt2"), T=1024)
    284812800
    """
    _check_size(config, 1, T)
    d = config.n_embd
    L = config.n_layer
    f = config.n_inner or 4 * d
    weights = L * (4 * d**2 + 2 * d * f) + config.vocab_size * d
    return 2 * weights + L * 4 * T * d


def training_flops(n_parameters: float, n_tokens: float) -> float:
    """The rule of thumb for a whole training: 6 FLOPs for each parameter and token, 2 forward and 4
    backward.

    Raises: ValueError for negative numbers. Source: Kaplan et al. 2020, section 2.1.

    >>> f"{training_flops(count_parameters(GPT3), GPT3_TOKENS):.2e}"
    '3.14e+23'
    """
    if n_parameters < 0 or n_tokens < 0:
        raise ValueError(
            f"{n_parameters} parameters and {n_tokens} tokens: neither can be negative"
        )
    return 6 * n_parameters * n_tokens


# Brown et al. 2020, table 2.1
GPT3 = GPTConfig(n_layer=96, n_head=96, n_embd=12288, n_positions=2048)
GPT3_TOKENS = 300e9  # the same table


# FLOP a second at best, for matrix products of 16 bits: NVIDIA's data sheets
PEAKS = {"V100": 125e12, "A100": 312e12, "H100": 989e12}


@dataclass(frozen=True)
class Training:
    """A training as it was published: its size, the GPUs, and for how long they were taken.

    >>> (
    ...     TRAININGS[0].name,
    ...     f"{TRAININGS[0].gpu_hours / 1e6:.2f} million hours of a {TRAININGS[0].gpu}",
    ... )
    ('GPT-3', '3.55 million hours of a V100')
    """

    name: str
    n_parameters: float
    n_tokens: float
    gpu: str
    gpu_hours: float
    source: str


TRAININGS = (
    Training("GPT-3", 174.6e9, 300e9, "V100", 10_000 * 14.8 * 24,
             "Patterson et al. 2021, table 4: 10,000 GPUs, 14.8 days"),
    Training("GPT-3's shape, Megatron", 174.6e9, 300e9, "A100", 1024 * 34 * 24,
             "Narayanan et al. 2021, section 5: 1,024 GPUs, 34 days, from measured throughput"),
    Training("Llama 3.1 405B", 405e9, 15.6e12, "H100", 30.84e6,
             "Llama 3.1 model card, July 2024: 30.84 million GPU hours"),
)  # fmt: skip


def flop_utilization(n_parameters: float, n_tokens: float, gpu_hours: float, peak: float) -> float:
    """Say which share of their peak the GPUs of a whole training reached, a number between 0 and 1,
    from what was published about it.

    gpu_hours: the hours of all GPUs together. peak: FLOP that one GPU could do in a second. The work
    is what the rule of thumb says of a training, for all its tokens. Raises: ValueError unless
    gpu_hours and peak are above 0. Source: Chowdhery et al. 2022 (PaLM), section 4.1.

    >>> round(flop_utilization(n_parameters=2e9, n_tokens=3e9, gpu_hours=100, peak=1e14), 6)
    1.0
    """
    if gpu_hours <= 0 or peak <= 0:
        raise ValueError(f"{gpu_hours} hours at a peak of {peak}: both must be above 0")
    return 6 * n_parameters * n_tokens / (gpu_hours * 3600 * peak)


@dataclass(frozen=True)
class Machine:
    """A rented processor: its peak in FLOP/s, the share of it that training reaches, and its price
    in USD an hour.

    >>> machine = Machine("example", peak=1e14, utilisation=0.36, price=2.0, source="made up")
    >>> machine.dollars_per_flop * 1e18  # one dollar buys 0.36e14 · 3600 / 2 = 6.48e16 FLOP
    15.432098765432098
    """

    name: str
    peak: float
    utilisation: float
    price: float
    source: str

    @property
    def dollars_per_flop(self) -> float:
        return self.price / 3600 / (self.peak * self.utilisation)


# Prices are those of a list or of a paper at its date: what matters is how far the answer moves.
MACHINES = (
    Machine("V100, on demand, 2020", 125e12, 24.6 / 125, 3.06, "AWS p3.2xlarge, list price; 24.6 TFLOP/s: Patterson et al. 2021, table 4"),
    Machine("V100, reserved, 2020", 125e12, 0.224, 1.50, "Li 2020, Lambda: both numbers; 28 TFLOP/s are assumed there"),
    Machine("A100, on demand, 2020", 312e12, 0.335, 32.77 / 8, "AWS p4d.24xlarge, list price, an eighth; 34 days: Narayanan et al. 2021"),
    Machine("H100, rented, 2024", 989e12, 0.345, 2.00, "DeepSeek-AI 2024 assumes it for an H800; hours: Llama 3.1 model card"),
)  # fmt: skip


def training_cost(flops: float, machine: Machine) -> float:
    """The price of so many FLOPs on a machine, in USD; electricity, staff and failed attempts are
    not in it.

    >>> print(f"{training_cost(3.14e23, MACHINES[0]) / 1e6:.1f} million USD")
    10.8 million USD
    """
    return flops * machine.dollars_per_flop
