"""Right answers to the exercises of lesson 04, in other styles than the reference."""

import re
from functools import reduce

import numpy as np
import torch
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
