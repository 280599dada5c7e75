"""The decision about a pod or a workload as pure functions, and reading and writing AdmissionReviews."""
