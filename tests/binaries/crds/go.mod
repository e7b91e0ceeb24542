// Only data: the definitions of custom resources that these modules carry.
module tfcanary.test/crds

go 1.24.0

require (
	github.com/argoproj/argo-rollouts v1.9.0
	github.com/fluxcd/flagger v1.36.1
	github.com/kserve/kserve v0.20.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
	istio.io/api v1.31.4
	sigs.k8s.io/gateway-api v1.6.1
)
