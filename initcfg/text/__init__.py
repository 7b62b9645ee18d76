"""YAML and JSON as text: to plain data with the place of every part, and back; they know no spec."""
