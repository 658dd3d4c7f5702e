"""What changed since GPT-2: lesson 11 trains newer parts against the old ones."""

from course_utils.architectures.experts import Experts, FactModel, Facts, Shape, learn_facts
from course_utils.architectures.modern import (
    CHANGES,
    GroupedAttention,
    ModernConfig,
    ModernTransformer,
    RMSNorm,
    SwiGLU,
    balanced_loss,
    variant,
)
from course_utils.architectures.parts import (
    Parts,
    cross_attention,
    load_balance,
    rms_norm,
    route,
    swiglu,
)
from course_utils.architectures.translation import (
    FAMILIES,
    CrossAttention,
    EncoderDecoder,
    OneStack,
    learn_orders,
    orders,
    right_letters,
    write,
)

__all__ = [
    "CHANGES",
    "CrossAttention",
    "EncoderDecoder",
    "Experts",
    "FAMILIES",
    "FactModel",
    "Facts",
    "GroupedAttention",
    "ModernConfig",
    "ModernTransformer",
    "OneStack",
    "Parts",
    "RMSNorm",
    "Shape",
    "SwiGLU",
    "balanced_loss",
    "cross_attention",
    "learn_facts",
    "learn_orders",
    "load_balance",
    "orders",
    "right_letters",
    "rms_norm",
    "route",
    "swiglu",
    "variant",
    "write",
]

LESSON = "11"
