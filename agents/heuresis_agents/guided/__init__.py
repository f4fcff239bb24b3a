"""Parts of the proposer ``guided-search``: what is known, who are parents, what is worth a call."""
