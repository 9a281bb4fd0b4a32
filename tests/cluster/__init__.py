"""A study on several hosts, with the services that a group shares. ``make test-cluster`` runs it."""
