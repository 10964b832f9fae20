"""What was recognised in clips, on disk: names of results, the folder that keeps them, one table of many clips."""
