"""What ``benchmarks/speed.py`` measures, a part a file."""
