"""The app on Textual. Nothing here imports torch: the session does, in a worker thread."""
