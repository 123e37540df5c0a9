"""The network: a `Scope` becomes tokens, hidden states and outputs."""
