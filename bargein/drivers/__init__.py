"""The thin loops around the machines: sockets, requests, threads and pools."""
