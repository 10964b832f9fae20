"""Training health: the doctor (`examine`, `checks`, `causes`) and the overfit test (`overfit`)."""
