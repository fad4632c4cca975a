"""One module a command, each with an object named `command`; heavy imports are made when a command runs."""
