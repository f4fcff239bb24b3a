"""Projections of the ledger onto tracking servers. Only `mlflow_tracker` imports mlflow."""
