"""Values that the chart is rendered with, by what they are about."""

from tests.chart.conftest import JSON

EVERYTHING: JSON = {
    name: {"enabled": True}
    for name in ("autoscaling", "serviceMonitor", "prometheusRule", "dashboard", "guard", "networkPolicy")
}
LOADS: dict[str, JSON] = {
    "s3-mount": {"strategy": "s3-mount"},
    "shared-volume": {"models": ["llama-*"], "versions": ">=2", "strategy": "shared-volume", "capacity": "2Ti"},
    "oci-image": {"strategy": "oci-image", "image": "registry.example.com/models/{model}"},
}
"""An entry of `loads` for each strategy that a controller loads by."""
CASES: dict[str, JSON] = {
    "default": {},
    "everything": EVERYTHING,
    "cert-manager": {"certificates": {"mode": "cert-manager"}},
    "an issuer of one's own": {
        "certificates": {
            "mode": "cert-manager",
            "certManager": {"issuerRef": {"name": "ours", "kind": "ClusterIssuer"}},
        }
    },
    "provided": {"certificates": {"mode": "provided", "provided": {"secretName": "ours", "caBundle": "PEM"}}},
    "one replica that may be missing": {"replicaCount": 1, "webhook": {"failurePolicy": "Ignore"}},
    "label": {"webhook": {"select": "label", "optIn": True, "objectSelector": {"matchLabels": {"a": "b"}}}},
    "selectors": {
        "webhook": {
            "namespaceSelector": {
                "matchLabels": {"team": "ml"},
                "matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["kube-system"]}
                ],
            },
            "objectSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
            "matchConditions": [{"name": "more", "expression": "true"}],
            "annotations": {"x": "y"},
        }
    },
    "pods alone": {"webhook": {"workloads": {"enabled": False}}},
    "kinds": {
        "webhook": {
            "workloads": {
                "kinds": [
                    {"group": "leaderworkerset.x-k8s.io", "version": "v1", "resource": "leaderworkersets"},
                    {"group": "argoproj.io", "version": "v1alpha1", "resource": "rollouts"},
                    {"group": "", "version": "v1", "resource": "replicationcontrollers"},
                ]
            }
        }
    },
    "host network": {"hostNetwork": True, "config": {"server": {"port": 9443, "opsPort": 9080}}},
    "names": {"nameOverride": "models", "commonLabels": {"team": "platform"}},
    "full name": {"fullnameOverride": "models"},
    "an account of one's own": {"serviceAccount": {"create": False, "name": "ours"}},
    "irsa": {"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}}},
    "digest": {"image": {"repository": "x/y", "digest": "sha256:" + "0" * 64}, "imagePullSecrets": [{"name": "pull"}]},
    "pod": {
        "annotations": {"a": "b"},
        "podAnnotations": {"c": "d"},
        "podLabels": {"e": "f"},
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "volumes": [{"name": "more", "emptyDir": {}}],
        "volumeMounts": [{"name": "more", "mountPath": "/more"}],
        "affinity": {"nodeAffinity": {}},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "dnsPolicy": "Default",
        "priorityClassName": "",
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "topologySpreadConstraints": [
            {"topologyKey": "x", "maxSkew": 2, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
        ],
        "service": {"annotations": {"g": "h"}},
    },
    "network": {
        "networkPolicy": {
            "opsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "egress": [{"ports": [{"port": 443}]}],
        }
    },
    "nothing that can be left out": {
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "topologySpreadConstraints": [],
    },
    "settings": {
        "config": {
            "prefix": "models",
            "layout": "{model}/{version}",
            "region": "eu-west-1",
            "endpointUrl": "https://s3.internal",
            "anonymous": True,
            "requesterPays": True,
            "sources": {"research": {"bucket": "research", "layout": "{model}/{version}"}},
            "annotationPrefix": "models.example.com",
            "defaults": {"version": "1.0.0", "mountPath": "/models", "verify": "sha256"},
            "fetch": {
                "timeout": "1h",
                "numWorkers": 8,
                "resources": {"limits": {"cpu": 1}},
                "env": [{"name": "A", "value": ""}],
            },
            "catalog": {"mode": "s3", "refreshSeconds": "1m", "preflight": "enforce", "requiredTag": "published=true"},
            "inventory": {"enabled": True, "refreshSeconds": 30},
            "loads": [{"models": ["llama-*"], "strategy": "shared-volume", "capacity": "2Ti"}],
            "controller": {"namespace": "elsewhere", "rollouts": {"enabled": True, "pause": "5m"}},
            "rules": [{"namespaces": ["team-*"], "models": ["my-org/*"], "allow": False, "message": "ask us"}],
            "preview": {"auth": "none", "force": True},
            "server": {"drain": 30},
            "certificates": {"caLifetime": "720h", "leafLifetime": "24h", "overlap": 120},
        }
    },
    "a controller of nothing": {"controller": {"enabled": True}, "config": {"catalog": {"mode": "s3"}}},
    "controller": {
        "controller": {
            "enabled": True,
            "replicaCount": 3,
            "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/controller"}},
            "resources": {"limits": {"memory": "1Gi"}},
            "podAnnotations": {"a": "b"},
            "podLabels": {"c": "d", "app.kubernetes.io/component": "webhook"},
            "affinity": {"nodeAffinity": {}},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists"}],
        },
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "volumes": [{"name": "more", "emptyDir": {}}],
        "volumeMounts": [{"name": "more", "mountPath": "/more"}],
        "imagePullSecrets": [{"name": "pull"}],
        "networkPolicy": {"egress": [{"ports": [{"port": 443}]}]},
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "config": {
            "catalog": {"mode": "s3"},
            "inventory": {"enabled": True},
            "strategies": {"shared-volume": {"storageClass": "fsx", "namespace": "models"}},
            "loads": list(LOADS.values()),
            "controller": {
                "push": {"serviceAccount": "model-pusher", "dockerConfigSecret": "registry"},
                "rollouts": {
                    "enabled": True,
                    "maintenance": [{"days": ["Sat", "Sun"], "start": "22:00", "duration": "4h"}],
                },
                "cleaning": {"enabled": True, "s3Tag": "model-injector=expired"},
                "progress": {"enabled": True},
                "withdrawals": {"enabled": True},
            },
        },
    },
    "a node cache": {"nodeCache": {"enabled": True}},
    "node cache": {
        "nodeCache": {
            "enabled": True,
            "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/cache"}},
            "resources": {"limits": {"memory": "1Gi"}},
            "podAnnotations": {"a": "b"},
            "podLabels": {"c": "d", "app.kubernetes.io/component": "webhook"},
            "affinity": None,
            "nodeSelector": {"gpu": "yes"},
            "tolerations": [],
            "priorityClassName": "",
            "updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
        },
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "volumes": [{"name": "more", "emptyDir": {}}],
        "volumeMounts": [{"name": "more", "mountPath": "/more"}],
        "imagePullSecrets": [{"name": "pull"}],
        "networkPolicy": {"egress": [{"ports": [{"port": 443}]}]},
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "config": {
            "catalog": {"mode": "s3"},
            "strategies": {
                "node-cache": {
                    "authenticationSource": "driver",
                    "folder": "/mnt/nvme/models/",
                    "kubeletFolder": "/opt/kubelet",
                    "prefetch": [{"models": ["llama-*"], "versions": "@champion"}],
                }
            },
        },
    },
    "node cache that marks nodes": {
        "nodeCache": {"enabled": True},
        "config": {"strategies": {"node-cache": {"placement": True, "startupTaint": True}}},
    },
    "odd": {
        "nameOverride": "true",
        "fullnameOverride": "null",
        "commonLabels": {"version": "1.0", "yes": "no"},
        "podAnnotations": {"quoted": "a \"b\" 'c'\nd: e"},
        "config": {
            "fetch": {"env": [{"name": "A", "value": "="}, {"name": "B", "value": "<<"}, {"name": "C", "value": "on"}]},
            "rules": None,
        },
        "affinity": None,
        "tolerations": None,
        "topologySpreadConstraints": [
            {"topologyKey": "x", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", "matchLabelKeys": ["a"]}
        ],
    },
}
