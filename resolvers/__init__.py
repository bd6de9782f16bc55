"""Authorise, call one domain function, return domain values."""
