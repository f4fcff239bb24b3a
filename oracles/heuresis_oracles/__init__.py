"""Oracles: one file, one Config, one class each. They import neither Ray, MLflow nor Celery."""
