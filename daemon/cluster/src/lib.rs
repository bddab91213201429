//! Applies, watches and prunes objects in Kubernetes clusters.
