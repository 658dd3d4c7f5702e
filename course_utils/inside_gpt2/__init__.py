"""What breaks when trained matrices are broken: lesson 10."""

LESSON = "10"
