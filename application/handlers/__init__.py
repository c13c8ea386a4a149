"""One plain function a command: checks first, then the change, then nothing may fail."""
