"""Gates around the provider SDKs' own request methods, where a call can be stopped and read."""
