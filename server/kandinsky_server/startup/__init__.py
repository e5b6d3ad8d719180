"""What happens before anything is served: settings are resolved, looked at, and the model is loaded."""
