"""A sweep that is killed in the middle, and begun again."""
