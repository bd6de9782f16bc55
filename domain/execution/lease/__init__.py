"""The lease: how one worker at a time works on an execution, and every other is kept from writing."""
