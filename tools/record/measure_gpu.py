"""Measures what lesson 04 measures, on the GPU of this machine, and keeps it for readers who have none:
course_utils/gpt2/assets/gpus.json, one record a card.

    python tools/record/measure_gpu.py                     about three minutes
    python tools/record/measure_gpu.py --out FILE --small  another file; small sizes, as on a CPU
    python tools/record/measure_gpu.py --device cpu        to try it without a GPU
"""

from pathlib import Path

import torch
from records import load, parser_of, save, stamp

from course_utils import assets
from course_utils.gpt2 import timing

COMMAND = "python tools/record/measure_gpu.py"


def card_of(device: torch.device) -> str:
    """What the machine calls this device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def recorded(device: torch.device, size: dict, compiled: bool = True) -> dict:
    """The record of one card."""
    record = stamp(COMMAND, "torch") | {"machine": card_of(device)}
    return record | timing.measure(device, size, compiled)


def keep(file: Path, card: str, record: dict) -> None:
    """Puts the record of a card among those of the others; its own old one goes."""
    save(file, {**load(file), card: record})


def main() -> None:
    parser = parser_of(__doc__, assets.path(timing.RECORDS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="sizes for a CPU")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("this machine has no CUDA device; --device cpu tries the recorder without one")
    small = asked.small or device.type == "cpu"
    record = recorded(device, timing.sizes(small), compiled=device.type == "cuda")
    keep(asked.out, card_of(device), record)
    print(f"{asked.out}: {card_of(device)} recorded")


if __name__ == "__main__":
    main()
