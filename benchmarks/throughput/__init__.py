"""How busy the loop keeps its slots, what an evaluation costs, what a long ledger costs."""
