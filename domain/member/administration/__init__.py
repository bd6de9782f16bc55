"""Members as platform admins see them, and who is one."""
