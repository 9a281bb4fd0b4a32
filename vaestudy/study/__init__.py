"""A study from launch to tables: the one layer that knows search, execution, tracking and analysis.

Import its modules, not this package: whoever asks for a status or a report need not wait for Ray.
"""
