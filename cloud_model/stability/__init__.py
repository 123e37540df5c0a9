"""Whether a crystal is stable against the known phases of its elements: reference phases, hulls, distances."""
