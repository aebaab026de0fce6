"""Employees, and who was chosen for what."""
