"""From a YAML file to a running campaign: loading, checking, building, the run folder, sessions."""
