"""What breaks when trained matrices are broken: lesson 10."""
