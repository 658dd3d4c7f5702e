"""What the second device must refuse, count or bear: each check is a function; `main` runs them in
a process of their own.
"""

import copy
import json
import sys
import traceback
import warnings

import torch
from torch import nn

from second_device import NAME, play

D = NAME


def refused(kind, says, call):
    """The call must fail with this kind of error and this sentence."""
    try:
        call()
    except kind as error:
        assert says in str(error), f"it says: {error}"
        return
    raise AssertionError(f"it was not refused: {says}")


def ones(*shape, **more):
    return torch.ones(*shape, device=D, **more)


# --- Two devices ----------------------------------------------------------------------------------


def two_devices_do_not_mix():
    play("cuda")
    refused(RuntimeError, "same device", lambda: ones(2, 2) + torch.ones(2, 2))
    refused(RuntimeError, "same device", lambda: ones(2, 2) @ torch.ones(2, 2))
    refused(RuntimeError, "same device", lambda: torch.cat([ones(2), torch.ones(2)]))
    refused(RuntimeError, "same device", lambda: torch.where(ones(2) > 0, ones(2), torch.ones(2)))
    refused(
        RuntimeError,
        "same device",
        lambda: ones(3).masked_fill(torch.ones(3, dtype=torch.bool), 0.0),
    )
    refused(RuntimeError, "same device", lambda: ones(3, 2).gather(0, torch.zeros(1, 2).long()))
    refused(RuntimeError, "same device", lambda: nn.Embedding(3, 2).to(D)(torch.tensor([1])))
    refused(
        RuntimeError,
        "same device",
        lambda: nn.functional.cross_entropy(ones(2, 3), torch.tensor([0, 1])),
    )
    refused(RuntimeError, "same device", lambda: torch.ones(2).add_(ones(2)))
    refused(RuntimeError, "", lambda: torch.ones(3)[torch.tensor([0], device=D)])
    refused(TypeError, "numpy", lambda: ones(2).numpy())


def what_cuda_lets_mix_may_mix():
    play("cuda")
    x = torch.arange(4.0).to(D)
    assert (x + torch.tensor(1.0)).tolist() == [1, 2, 3, 4]
    assert torch.where(x > 1, x, torch.tensor(0.0)).tolist() == [0, 0, 2, 3]
    assert x[torch.tensor([3, 0])].tolist() == [3, 0] and x[
        torch.tensor([True, False, True, False])
    ].tolist() == [0, 2]
    assert torch.ones(4).copy_(x).tolist() == x.tolist() == x.cpu().tolist()


def dice_belong_to_one_device():
    play("cuda")
    own = torch.Generator(D).manual_seed(0)
    other = torch.Generator().manual_seed(0)
    for call in (
        lambda g: torch.rand(3, device=D, generator=g),
        lambda g: torch.multinomial(ones(3), 1, generator=g),
        lambda g: ones(3).normal_(generator=g),
    ):
        assert call(own).device.type == D
        refused(RuntimeError, "device type for generator", lambda call=call: call(other))
    refused(RuntimeError, "", lambda: torch.rand(3, generator=own))
    torch.manual_seed(3)
    a = torch.rand(3, device=D)
    torch.manual_seed(3)
    assert torch.equal(a.cpu(), torch.rand(3, device=D).cpu())


# --- Kernels and types ----------------------------------------------------------------------------


def cuda_multiplies_no_integers():
    play("cuda")
    whole = ones(2, 2).long()
    refused(NotImplementedError, "not implemented for 'Long'", lambda: whole @ whole)
    refused(
        NotImplementedError,
        "not implemented for",
        lambda: (
            torch.ones(2, 2, dtype=torch.int32, device=D)
            @ torch.ones(2, dtype=torch.int32, device=D)
        ),
    )
    assert (whole * whole).sum().item() == 4


def an_operator_without_a_kernel_is_refused():
    play("cuda")
    refused(NotImplementedError, "histogram", lambda: torch.histogram(ones(4), 2))
    play("apple")
    refused(NotImplementedError, "MPS has no kernel", lambda: torch.linalg.eigh(ones(2, 2)))


def apple_has_no_float64():
    play("apple")
    refused(TypeError, "float64", lambda: ones(2).double())
    refused(TypeError, "float64", lambda: torch.ones(2, dtype=torch.float64).to(D))
    assert ones(2).bfloat16().dtype == torch.bfloat16
    play("cuda")
    assert ones(2).double().sum().item() == 2


def a_t4_has_no_bfloat16():
    play("t4")
    refused(TypeError, "bfloat16", lambda: ones(2).bfloat16())
    refused(TypeError, "bfloat16", lambda: torch.ones(2, dtype=torch.bfloat16).to(D))
    assert ones(2).half().dtype == torch.float16
    assert torch.second.is_bf16_supported() and not torch.second.is_bf16_supported(
        including_emulation=False
    )
    assert torch.second.get_device_capability() == (7, 5)


def a_wrong_index_kills_the_device():
    play("cuda")
    table = ones(3, 2)
    refused(
        RuntimeError,
        "device-side assert",
        lambda: nn.functional.embedding(torch.tensor([7], device=D), table),
    )
    refused(RuntimeError, "device-side assert", lambda: table + 1)
    torch.second.revive()
    # seen before anything is launched
    refused(IndexError, "Dimension out of range", lambda: table.sum(5))
    assert (table + 1).sum().item() == 12


# --- Memory ---------------------------------------------------------------------------------------


def memory_is_counted():
    play("cuda")
    before = torch.second.memory_allocated()
    x = ones(1000, 1000)
    assert torch.second.memory_allocated() - before == 4_000_256  # in steps of 512
    y = x.view(-1)[10:]  # a view takes nothing
    assert torch.second.memory_allocated() - before == 4_000_256
    torch.second.reset_peak_memory_stats()
    z = (x * 2).sum()
    assert torch.second.max_memory_allocated() - before == 8_000_512 + 512
    del x, y, z
    assert torch.second.memory_allocated() == before


def a_small_card_runs_out():
    play("cuda", memory=2**20)
    kept = ones(100, 1000)
    refused(torch.OutOfMemoryError, "out of memory", lambda: ones(200, 1000))
    refused(torch.OutOfMemoryError, "out of memory", lambda: kept @ ones(1000, 2000))
    assert kept.sum().item() == 100_000  # it goes on
    free, total = torch.second.mem_get_info()
    assert total == 2**20 and free == 2**20 - 400_384
    play("cuda")


def waits_are_counted():
    play("cuda")
    x = ones(4)
    torch.second.reset_peak_memory_stats()
    y = x * 2 + 1
    assert torch.second.waits() == 0 and torch.second.launched() >= 2
    _ = y.sum().item(), y.tolist(), bool((y > 0).all())
    assert torch.second.waits() == 3


# --- Training -------------------------------------------------------------------------------------


def tied_weights_stay_tied():
    play("cuda")
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    model[1].weight = model[0].weight
    parameter = model[0].weight
    assert model.to(D)[1].weight is model[0].weight is parameter and parameter.device.type == D


def training_gives_what_the_cpu_gives():
    play("cuda")
    torch.manual_seed(0)
    here = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3))
    x = torch.randn(10, 6)
    y = torch.arange(10) % 3
    losses = {}
    for device in ("cpu", D):
        model = copy.deepcopy(here).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), 0.01, fused=True)
        losses[device] = []
        for _ in range(5):
            loss = nn.functional.cross_entropy(model(x.to(device)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses[device].append(loss.item())
    assert torch.allclose(torch.tensor(losses["cpu"]), torch.tensor(losses[D]), rtol=1e-5)


def fused_attention_keeps_no_scores():
    play("cuda")
    q = torch.randn(2, 2, 64, 8, device=D, requires_grad=True)
    causal = torch.ones(64, 64, dtype=torch.bool, device=D).tril()
    before = torch.second.memory_allocated()
    out = nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)
    # less than the scores take
    assert torch.second.memory_allocated() - before < 4 * 2 * 2 * 64 * 64
    out.sum().backward()
    host = q.detach().cpu().requires_grad_()
    want = nn.functional.scaled_dot_product_attention(host, host, host, attn_mask=causal.cpu())
    want.sum().backward()
    assert torch.allclose(out.cpu(), want, atol=1e-5) and torch.allclose(
        q.grad.cpu(), host.grad, atol=1e-4
    )


def autocast_computes_in_half():
    play("cuda")
    layer = nn.Linear(4, 4).to(D)
    x = ones(2, 4)
    with torch.autocast(D, torch.float16):
        assert layer(x).dtype == torch.float16 and layer(x).softmax(-1).dtype == torch.float32


# --- Noise ----------------------------------------------------------------------------------------


def noise_moves_the_last_bit_only():
    play("cuda", noise=True)
    x = torch.randn(500, 500, generator=torch.Generator().manual_seed(0))
    noisy = (x.to(D) @ x.to(D)).cpu()
    # the CPU rounds otherwise, too
    assert torch.equal(x @ x, noisy) and x.softmax(-1).sum(-1).ne(1).any()
    play("cuda")
    exact = x @ x
    moved = (exact.view(torch.int32) - noisy.view(torch.int32)).abs()
    assert moved.max() == 1 and 0.4 < (moved > 0).float().mean() < 0.6
    play("cuda", noise=True)
    # exact on every device
    assert torch.equal((x.to(D) * 3).cpu(), x * 3) and torch.equal(x.to(D).cpu(), x)
    assert torch.ones(1000, device=D).sum().item() == 1000  # so are whole numbers
    assert torch.equal((x.to(D) @ x.to(D)).cpu(), noisy)  # the same noise every time
    play("cuda", noise=True, seed=1)
    assert not torch.equal((x.to(D) @ x.to(D)).cpu(), noisy)
    play("cuda")
    assert torch.equal((x.to(D) @ x.to(D)).cpu(), exact)


CHECKS = {
    name: value
    for name, value in list(globals().items())
    if callable(value)
    and getattr(value, "__module__", "") == __name__
    and name not in ("refused", "ones")
}


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    report = {}
    for name, check in CHECKS.items():
        try:
            check()
            report[name] = ""
        except Exception:
            report[name] = traceback.format_exc()
            if "device-side assert" in report[name]:
                torch.second.revive()
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
