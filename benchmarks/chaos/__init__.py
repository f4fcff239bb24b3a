"""Random kills and faults over real Ray processes; what is promised is read from the ledger."""
