"""The dock widget: shows state, sends intents."""
