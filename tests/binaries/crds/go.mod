// Only data: the definitions of custom resources that these modules carry.
module tfcanary.test/crds

go 1.24.0

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	istio.io/api v1.31.4
	sigs.k8s.io/gateway-api v1.6.1
)
