"""What things cost, as ratios to a floor measured in the same run.

Each module is a command: ``python -m benchmarks.imports``, for example.
"""
