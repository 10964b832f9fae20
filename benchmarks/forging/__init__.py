"""Bad inputs: good files of every kind, ways to spoil them, and a judge of what a command does with them."""
