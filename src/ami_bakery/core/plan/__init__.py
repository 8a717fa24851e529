"""Actions, reasons and outcomes, decided without I/O."""
