"""Properties: what is predicted, its name, unit, basis and error bar."""
