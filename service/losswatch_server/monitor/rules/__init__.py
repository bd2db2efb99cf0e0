"""The rules, one file each; ``losswatch_server.monitor.conditions`` says which belong to a condition."""
