"""Faults that are really done to real processes, and what must hold after each: the bars of docs/reliability.md.

A test names its bar (``@pytest.mark.bar``), counts the faults that it met in its ``ledger`` and writes its figures
there; one that met none fails. Each leaves a line in ``.chaos/bars.csv``, from which ``python -m tests.chaos.table``
makes the table of docs/reliability.md.
"""
