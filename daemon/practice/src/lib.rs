//! A Kubernetes API server in memory: the demo's cluster, the tests' stand-in.
