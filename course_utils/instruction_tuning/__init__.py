"""From a model that continues text to one that answers: the chat, the tasks and the loss of lesson
18.
"""

from course_utils.instruction_tuning.chat import (
    CHAT_ID,
    CHAT_VOCAB,
    END_OF_TURN,
    ROLES,
    TEXTS,
    decode_chat,
    encode_chat,
    split_words,
)
from course_utils.instruction_tuning.fine_tuning import (
    accuracy,
    answer_loss,
    answer_mask,
    answers,
    base_with_chat,
    story_loss,
    task_batches,
)
from course_utils.instruction_tuning.grading import grade
from course_utils.instruction_tuning.tasks import SPLITS, TASKS, instructions

__all__ = [
    "CHAT_ID",
    "CHAT_VOCAB",
    "END_OF_TURN",
    "ROLES",
    "SPLITS",
    "TASKS",
    "TEXTS",
    "accuracy",
    "answer_loss",
    "answer_mask",
    "answers",
    "base_with_chat",
    "decode_chat",
    "encode_chat",
    "grade",
    "instructions",
    "split_words",
    "story_loss",
    "task_batches",
]

LESSON = "18"
