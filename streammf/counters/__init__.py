"""Counting: what each process counts, readable by the one that answers for all of them. Beside the errors, below all else."""
