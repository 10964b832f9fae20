"""Training health. Measuring (`learning`), judging (`judgement`) and showing (`show`) are kept apart."""
