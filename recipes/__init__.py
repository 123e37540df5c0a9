"""How the shipped checkpoints are made, a command a stage; see ``README.md``."""
