"""Web page at `/` that shows a version's recommendations and its model card."""
