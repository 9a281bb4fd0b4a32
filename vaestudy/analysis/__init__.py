"""From records to tables and figures. Needs neither torch nor ray nor optuna nor mlflow, and no server.

Import its modules, not this package: whoever asks for a winner need not wait for matplotlib and scipy.
"""
