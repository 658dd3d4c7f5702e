"""How long a GPT-2 takes on the machine at hand, and what holds it back: each measurement of lesson
04, for a CPU and for a GPU by the same code. `tools/record/measure_gpu.py` keeps what a GPU gave.

Every time is the median of some calls, after one that prepares, with a wait for the device. Sizes:
B texts of T tokens.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from course_utils import assets
from course_utils.gpt2.building import next_token_loss
from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.gpt2.static import StaticDecoder
from course_utils.machine.devices import synchronize
from course_utils.machine.memory import if_it_fits, peak_bytes
from course_utils.machine.precision import MixedPrecision, half_precision

# What NVIDIA's data sheets promise: dense FLOP/s by format, and bytes/s from memory.
CARDS = {
    "T4": ({"float32": 8.1e12, "float16": 65e12}, 320e9),
    "L4": ({"float32": 30.3e12, "TF32": 60e12, "bfloat16": 121e12}, 300e9),
    "A100": ({"float32": 19.5e12, "TF32": 156e12, "bfloat16": 312e12}, 2039e9),
    "H100": ({"float32": 67e12, "TF32": 495e12, "bfloat16": 989e12}, 3350e9),
}
RECORDS = "gpt2/gpus.json"


def seconds_of(
    work: Callable[[], object], device: torch.device | str, repeats: int = 5
) -> tuple[float, float]:
    """How long a call takes: the median, and the spread (largest less smallest), in seconds.

    On CUDA by events, which the GPU itself stamps: what the CPU does meanwhile is not in it.

    >>> median, spread = seconds_of(lambda: sum(range(1000)), "cpu", repeats=3)
    >>> 0 < median < 1 and spread >= 0
    True
    """
    work()
    synchronize(device)
    times = []
    for _ in range(repeats):
        times.append(_one(work, torch.device(device)))
    return statistics.median(times), max(times) - min(times)


def _one(work: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        begun = time.perf_counter()
        work()
        synchronize(device)
        return time.perf_counter() - begun
    begin = torch.cuda.Event(enable_timing=True)
    end = torch.cuda.Event(enable_timing=True)
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3


# --- The machine ----------------------------------------------------------------------------------


def formats(device: torch.device | str) -> list[str]:
    """The number formats that this device computes in by itself: float32 first.

    >>> formats("cpu")
    ['float32', 'bfloat16']
    """
    device = torch.device(device)
    if device.type != "cuda":
        return ["float32", "bfloat16"] if device.type == "cpu" else ["float32", "float16"]
    found = ["float32", "float16"]
    if half_precision(device) is torch.bfloat16:  # since Ampere
        found[1:1] = ["TF32", "bfloat16"]
    return found


@contextmanager
def computing_in(name: str) -> Iterator[torch.dtype]:
    """Inside, products of matrices run in this format; gives the dtype that tensors then have.

    TF32 is float32 whose products keep 10 bits of each number.

    >>> with computing_in("TF32") as dtype:
    ...     print(dtype, torch.get_float32_matmul_precision())
    torch.float32 high
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if name == "TF32" else "highest")
    try:
        yield torch.float32 if name == "TF32" else getattr(torch, name)
    finally:
        torch.set_float32_matmul_precision(before)


def limits(device: torch.device | str, n: int = 1024, length: int = 2**24) -> dict:
    """What the machine can do at most: FLOP/s in each format, by a product of n × n matrices, and
    bytes/s, by a copy of `length` float32 numbers, which is read and written.

    >>> sorted(limits("cpu", n=64, length=2**10)["flops"])
    ['bfloat16', 'float32']
    """
    rates = {}
    for name in formats(device):
        with computing_in(name) as dtype:
            a = torch.ones(n, n, device=device, dtype=dtype)
            seconds, _ = seconds_of(lambda a=a: a @ a, device)
        rates[name] = 2 * n**3 / seconds
    source = torch.ones(length, device=device)
    target = torch.empty_like(source)
    seconds, _ = seconds_of(lambda: target.copy_(source), device)
    return {"flops": rates, "bytes": 2 * source.nbytes / seconds}


# --- The model ------------------------------------------------------------------------------------


def blank(device: torch.device | str, *shape: int) -> Tensor:
    """Texts of token 0: what they say costs nothing, how long they are does.

    >>> blank("cpu", 2, 3).shape
    torch.Size([2, 3])
    """
    return torch.zeros(shape, dtype=torch.long, device=device)


def batch_sweep(model: GPT, T: int, batches: Sequence[int]) -> list[dict]:
    """Tokens read a second at growing batches, until memory runs out.

    >>> model = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8)).eval()
    >>> [row["B"] for row in batch_sweep(model, 8, (1, 2))]
    [1, 2]
    """
    rows = []
    device = model.wte.weight.device
    for B in batches:
        ids = blank(device, B, T)
        with torch.inference_mode():
            took = if_it_fits(lambda ids=ids: seconds_of(lambda: model(ids, last=True), device))
        if took is None:
            break
        rows.append({"B": B, "tokens a second": B * T / took[0], "seconds": took[0]})
    return rows


def format_times(config: GPTConfig, B: int, T: int, device: torch.device | str) -> list[dict]:
    """Seconds of a forward pass in each format that the device has.

    >>> config = GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8)
    >>> [row["format"] for row in format_times(config, 1, 8, "cpu")]
    ['float32', 'bfloat16']
    """
    rows = []
    for name in formats(device):
        with computing_in(name) as dtype, torch.inference_mode():
            model = GPT(config, torch.Generator().manual_seed(0)).to(device, dtype).eval()
            ids = blank(device, B, T)
            seconds, spread = seconds_of(lambda m=model, i=ids: m(i, last=True), device)
        rows.append({"format": name, "seconds": seconds, "spread": spread})
    return rows


def attention_costs(
    config: GPTConfig, B: int, lengths: Sequence[int], device: torch.device | str
) -> list[dict]:
    """Seconds and bytes of a forward pass where attention is written out, with all weights in
    memory, and where it is one kernel. Bytes: what lives at the fullest moment, less the model.

    >>> config = GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=64)
    >>> rows = attention_costs(config, 1, (32, 64), "cpu")
    >>> [(row["kind"], row["T"]) for row in rows]
    [('explicit', 32), ('explicit', 64), ('fused', 32), ('fused', 64)]
    """
    config = replace(config, n_positions=max(lengths))
    model = GPT(config, torch.Generator().manual_seed(0)).to(device).eval()
    held = list(model.parameters())
    weights = peak_bytes(lambda: None, held=held, device=device)
    rows = []
    for kind in ("explicit", "fused"):
        model.set_attention(kind)
        for T in lengths:
            ids = blank(device, B, T)
            with torch.inference_mode():
                seconds, _ = seconds_of(lambda ids=ids: model(ids, last=True), device, repeats=3)
            with torch.no_grad():
                peak = peak_bytes(lambda ids=ids: model(ids, last=True), held=held, device=device)
            rows.append({"kind": kind, "T": T, "seconds": seconds, "bytes": peak - weights})
    return rows


def decoding_times(model: GPT, n_new: int) -> list[dict]:
    """Seconds for each of n_new tokens behind the first, greedily: everything read again, a cache, a
    cache of full length, and on CUDA that one recorded as a graph.

    >>> model = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=32)).eval()
    >>> [row["way"] for row in decoding_times(model, 4)]
    ['no cache', 'cache', 'cache of full length']
    """
    device = model.wte.weight.device
    first = blank(device, 1, 1)
    ways: dict[str, Callable[[], Tensor]] = {
        "no cache": lambda: _without_cache(model, first, n_new),
        "cache": lambda: _with_cache(model, first, n_new),
        "cache of full length": lambda: _static(StaticDecoder(model, 1), first, n_new),
    }
    graph = StaticDecoder(model, 1).capture()
    if graph.graph is not None:
        ways["CUDA graph"] = lambda: _static(graph, first, n_new)
    with torch.inference_mode():
        return [
            {"way": way, "seconds a token": seconds_of(work, device, repeats=3)[0] / n_new}
            for way, work in ways.items()
        ]


def _without_cache(model: GPT, ids: Tensor, n_new: int) -> Tensor:
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids, last=True).argmax(-1)], dim=1)
    return ids


def _with_cache(model: GPT, token: Tensor, n_new: int) -> Tensor:
    cache = model.cache(1 + n_new)
    tokens = [token]
    for _ in range(n_new):
        tokens.append(model(tokens[-1], cache, last=True).argmax(-1))  # (1, 1)
    return torch.cat(tokens, dim=1)


def _static(decoder: StaticDecoder, token: Tensor, n_new: int) -> Tensor:
    decoder.length = 0
    tokens = [token]
    for _ in range(n_new):
        tokens.append(decoder.next(tokens[-1]).argmax(-1, keepdim=True))
    return torch.cat(tokens, dim=1)


def training_times(config: GPTConfig, B: int, T: int, device: torch.device | str) -> list[dict]:
    """Seconds of a training step with AdamW in float32, and in the device's half precision.

    >>> config = GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8)
    >>> [row["format"] for row in training_times(config, 1, 8, "cpu")]
    ['float32']
    """
    rows = []
    for dtype in dict.fromkeys((torch.float32, half_precision(device))):
        model = GPT(config, torch.Generator().manual_seed(0)).to(device)
        precision = MixedPrecision(device, dtype)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        ids = blank(device, B, T)

        def step(model=model, precision=precision, optimizer=optimizer, ids=ids) -> None:
            with precision.forward():
                loss = next_token_loss(model(ids), ids)
            precision.step(loss.float(), optimizer)

        took = if_it_fits(lambda step=step: seconds_of(step, device, repeats=3))
        if took is not None:
            name = str(dtype).removeprefix("torch.")
            rows.append({"format": name, "seconds": took[0], "tokens": B * T})
    return rows


def has_a_compiler() -> bool:
    """Whether this torch is built to write kernels for a GPU.

    >>> has_a_compiler() in (True, False)
    True
    """
    return bool(torch.version.cuda or torch.version.hip)


def compiled_times(
    model: GPT, B: int, T: int, compiler: Callable[[GPT], Callable] = torch.compile
) -> list[dict]:
    """Seconds of a forward pass as it stands, and compiled by torch.compile, which makes one kernel
    of many. Where it cannot compile, as without a C++ compiler, the reason stands in its place.

    >>> model = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8)).eval()
    >>> [row["way"] for row in compiled_times(model, 1, 8, compiler=lambda model: model)]
    ['as it stands', 'compiled']
    """
    device = model.wte.weight.device
    ids = blank(device, B, T)
    rows = []
    with torch.no_grad():
        for name, run in (("as it stands", model), ("compiled", compiler(model))):
            try:
                rows.append({"way": name, "seconds": seconds_of(lambda r=run: r(ids), device)[0]})
            except Exception as error:
                reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}"
                rows.append({"way": name, "failed": reason})
    return rows


def trace(work: Callable[[], object], device: torch.device | str) -> list[dict]:
    """What ran while work() ran: the kernels of a GPU with their begin and length in microseconds;
    where there are none, the operators that no other one called.

    >>> rows = trace(lambda: torch.ones(50, 50) @ torch.ones(50, 50), "cpu")
    >>> any("matmul" in row["name"] for row in rows), min(row["begin"] for row in rows)
    (True, 0.0)
    """
    os.environ.setdefault(
        "KINETO_LOG_LEVEL", "6"
    )  # else the profiler writes to stderr what it begins
    kinds = [ProfilerActivity.CPU]
    if torch.device(device).type == "cuda":
        kinds.append(ProfilerActivity.CUDA)
    work()
    synchronize(device)
    with profile(activities=kinds) as seen:
        work()
        synchronize(device)
    ran = [event for event in seen.events() if event.time_range.elapsed_us() > 0]
    kernels = [event for event in ran if event.device_type == torch.autograd.DeviceType.CUDA]
    events = kernels or [event for event in ran if event.cpu_parent is None]
    zero = min((event.time_range.start for event in events), default=0.0)
    return [
        {
            "name": event.name,
            "begin": float(event.time_range.start - zero),
            "length": float(event.time_range.elapsed_us()),
        }
        for event in sorted(events, key=lambda event: event.time_range.start)
    ]


# --- All of it ------------------------------------------------------------------------------------


def sizes(small: bool) -> dict:
    """How large the measured things are: `small` for a CPU, else GPT-2 small and what fills a GPU.

    >>> sizes(small=False)["config"].n_layer
    12
    """
    if small:
        config = GPTConfig(n_layer=3, n_head=12, n_embd=768, vocab_size=8192, n_positions=512)
        return {"config": config, "n": 1024, "length": 2**24, "T": 64, "batches": (1, 2, 4, 8), "lengths": (128, 256, 512), "rows": (1, 128), "n_new": 32}  # fmt: skip
    config = GPTConfig.preset("gpt2")
    return {"config": config, "n": 8192, "length": 2**28, "T": 256, "batches": (1, 2, 4, 8, 16, 32, 64), "lengths": (256, 512, 1024), "rows": (8, 1024), "n_new": 64}  # fmt: skip


def measure(device: torch.device | str, size: dict, compiled: bool = True) -> dict:
    """Every measurement of lesson 04 on this device, as a record that JSON can hold.

    >>> config = GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=16)
    >>> size = {"config": config, "n": 8, "length": 64, "T": 4, "batches": (1,), "lengths": (4,)}
    >>> record = measure("cpu", size | {"rows": (1, 4), "n_new": 2}, compiled=False)
    >>> record["rows"], [row["kind"] for row in record["attention"]]
    ([1, 4], ['explicit', 'fused'])
    """
    config = size["config"]
    B, T = size["rows"]
    model = GPT(config, torch.Generator().manual_seed(0)).to(device).eval()
    ids = blank(device, 1, 1)
    with torch.inference_mode():
        kernels = trace(lambda: model(ids, model.cache(8), last=True), device)
    return {
        "model": {
            "n_layer": config.n_layer,
            "n_embd": config.n_embd,
            "vocab_size": config.vocab_size,
        },
        "rows": [B, T],
        "limits": limits(device, size["n"], size["length"]),
        "batch sweep": batch_sweep(model, size["T"], size["batches"]),
        "formats": format_times(config, B, T, device),
        "attention": attention_costs(config, 1, size["lengths"], device),
        "decoding": decoding_times(model, size["n_new"]),
        "training": training_times(config, B, T, device),
        "compiled": compiled_times(model, B, T) if compiled and has_a_compiler() else [],
        "trace": kernels,
    }


def records() -> dict[str, dict]:
    """What `tools/record/measure_gpu.py` has kept: card -> record; empty where no card was
    measured.

    >>> all("limits" in record for record in records().values())
    True
    """
    return assets.read_json(RECORDS) if assets.path(RECORDS).is_file() else {}


def least_seconds(
    n_flop: float, n_bytes: float, flops: float, bandwidth: float
) -> tuple[float, str]:
    """The roofline: no job is done before its arithmetic and its transport are. Seconds, and which
    of the two is the limit.

    Units: FLOP, bytes, FLOP/s, bytes/s. Source: Williams, Waterman and Patterson 2009.

    >>> least_seconds(2e12, 1e9, flops=1e12, bandwidth=1e9), least_seconds(1e9, 4e9, 1e12, 1e9)[1]
    ((2.0, 'arithmetic'), 'memory')
    """
    computing = n_flop / flops
    fetching = n_bytes / bandwidth
    return max(computing, fetching), "arithmetic" if computing >= fetching else "memory"
