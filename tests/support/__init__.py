"""Real servers and small tools that tests share; holds no test itself."""
