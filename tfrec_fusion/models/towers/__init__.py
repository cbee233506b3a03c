"""Items and users as vectors."""
