"""Another processor's rounding, played on this one: results of matrix products move by a few units
in their last place.

Processors sum in different orders, so their products differ in the last digits; what follows from
that (another word drawn, another minimum found by training) is the same whatever the digits are.
`disturb` moves them by a rule that depends on a seed and on the number itself: the same product is
the same number again, as on every processor.
"""

import functools

import torch
import torch.nn.functional as F

# results move by up to so many units in the last place, as sums of some hundred products do
PLACES = 4
PRODUCTS = {
    F: ("linear", "scaled_dot_product_attention", "layer_norm"),
    torch: ("matmul", "einsum"),
    torch.Tensor: ("__matmul__", "matmul"),
}


def moved(x, seed):
    """The float32 tensor with each number moved by -4 to 3 units in its last place; 0, inf and nan
    stay. Gradients pass as if it were x.
    """
    if not isinstance(x, torch.Tensor) or x.dtype is not torch.float32 or x.device.type != "cpu":
        return x
    with torch.no_grad():
        plain = x.detach().contiguous()
        bits = plain.view(torch.int32)
        places = ((bits * 2_654_435 + seed * 40_503) >> 15) % (2 * PLACES) - PLACES
        other = (bits + places).view(torch.float32)
        other = torch.where((plain == 0) | ~plain.isfinite() | ~other.isfinite(), plain, other)
    return x + (other - x).detach() if x.requires_grad else other


def disturb(seed):
    """From now on torch's products on the CPU are `moved` in this process."""
    for where, names in PRODUCTS.items():
        for name in names:
            setattr(where, name, _disturbed(getattr(where, name), seed))


def _disturbed(product, seed):
    @functools.wraps(product)
    def other(*args, **kwargs):
        return moved(product(*args, **kwargs), seed)

    return other
