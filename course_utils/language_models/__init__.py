"""What a language model is, and the map of the course: lesson 00."""

LESSON = "00"
