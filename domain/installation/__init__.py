"""Subject: the installation, and the epoch in which its versions can be compared with each other."""
