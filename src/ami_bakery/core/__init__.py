"""Values in, values out: no I/O, no clock, no environment, no log. Only `concurrency` starts threads."""
