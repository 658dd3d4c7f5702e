"""What changed since GPT-2: lesson 11 trains newer parts against the old ones."""

LESSON = "11"
