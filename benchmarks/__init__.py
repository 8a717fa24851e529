"""Measures this program beside what people use today, and beside what the machine itself takes."""
