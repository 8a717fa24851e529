"""One outside system a module; the only place that starts programs or speaks to AWS."""
