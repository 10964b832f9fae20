"""Work on the machines of a cluster: which job runs where, and Ray, which runs them there.

A job is plain data, and a worker (`actor.Worker`) does it. `schedule.run_jobs` hands the jobs to the workers of a pool,
which `ray_pool.RayPool` has on a Ray cluster.
"""
