"""Many jobs: the lines of a file, the workers that do them, and the record of what is done.

In the order of reading: file (lines become jobs) -> files (what a job reads and writes) -> worker (what happens in a worker's
process) -> crew (the processes, here or on a Ray cluster) -> journal (what is done) -> task and report (how far each job is,
and what the console shows of it) -> schedule (who does what when).
"""
