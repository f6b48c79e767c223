"""Parts of benchmarks/rank.py: tasks, zoo, scores, tables."""
