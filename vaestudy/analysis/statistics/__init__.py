"""The statistics of a comparison, on plain numbers: a few lines each, on scipy where it has them.

Import its modules, not this package: tables need means and rates alone, and need not wait for all of scipy.
"""
