"""How long a node waits between two questions when nothing happens; servers tell people of it."""

#: Longest wait of a node that nothing else is said to (s). The first round of a run may wait so
#: long. A question costs 2.1 kB with TLS, which is 2.5 MB a day; 60 s would be 3.0 MB.
IDLE_S = 72.0
