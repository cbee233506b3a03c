"""What of a model an export serves, in the shapes that exports know."""
