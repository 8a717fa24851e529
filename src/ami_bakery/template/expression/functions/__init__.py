"""The functions of HCL2 expressions."""
