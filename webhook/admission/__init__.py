"""The decision about a pod or a workload: pure functions, with AdmissionReview in and out."""
