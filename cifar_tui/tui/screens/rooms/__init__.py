"""The rooms beside the dashboard: data, report, runs, log and machine. Each is one widget."""
