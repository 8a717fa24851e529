"""Actions, reasons, steps and outcomes, decided without I/O."""
