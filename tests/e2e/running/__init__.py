"""What is tried on one running `palpite up`, which ends with the last of these tests."""
